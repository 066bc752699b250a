// SPDX-License-Identifier: Apache-2.0
// What DeepSpeed writes of a module that each rank of model parallelism has whole.
#include "fuzz_layout.h"
#include "trainers/trainer_config.h"

static const struct layout layout = {
    .files = {"mp_rank_00_model_states.pt", "mp_rank_01_model_states.pt"},
    .name = "mp_rank_00_model_states.pt",
    .read = tr_read_deepspeed,
    .configure = NULL,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return layout_run(&layout, data, size);
}
