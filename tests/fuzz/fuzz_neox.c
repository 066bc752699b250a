// SPDX-License-Identifier: Apache-2.0
// What GPT-NeoX writes: an embedding and a layer on two ranks, and its configuration.
#include "fuzz_layout.h"
#include "trainers/trainer_config.h"

static const struct layout layout = {
    .files = {"layer_00-model_00-model_states.pt", "layer_00-model_01-model_states.pt",
              "layer_02-model_00-model_states.pt", "layer_02-model_01-model_states.pt",
              "configs/run.yml"},
    .name = "layer_00-model_00-model_states.pt",
    .read = tr_read_neox,
    .configure = tr_configure_neox,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return layout_run(&layout, data, size);
}
