// SPDX-License-Identifier: Apache-2.0
// What Megatron-LM writes: two ranks of tensor parallelism, one after the other in two stages.
#include "fuzz_layout.h"
#include "trainers/trainer_config.h"

static const struct layout layout = {
    .files = {"mp_rank_00_000/model_optim_rng.pt", "mp_rank_01_000/model_optim_rng.pt",
              "mp_rank_00_001/model_optim_rng.pt", "mp_rank_01_001/model_optim_rng.pt"},
    .name = "mp_rank_00_000/model_optim_rng.pt",
    .read = tr_read_megatron,
    .configure = tr_configure_megatron,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return layout_run(&layout, data, size);
}
