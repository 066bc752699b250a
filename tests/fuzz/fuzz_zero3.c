// SPDX-License-Identifier: Apache-2.0
// What DeepSpeed writes with ZeRO-3: two ranks' shapes, and their vectors of weights.
#include "fuzz_layout.h"
#include "trainers/trainer_config.h"

static const struct layout layout = {
    .files = {"zero_pp_rank_0_mp_rank_00_model_states.pt",
              "zero_pp_rank_1_mp_rank_00_model_states.pt",
              "zero_pp_rank_0_mp_rank_00_optim_states.pt",
              "zero_pp_rank_1_mp_rank_00_optim_states.pt"},
    .name = "zero_pp_rank_0_mp_rank_00_model_states.pt",
    .read = tr_read_zero3,
    .configure = NULL,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return layout_run(&layout, data, size);
}
