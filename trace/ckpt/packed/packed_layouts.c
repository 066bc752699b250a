// SPDX-License-Identifier: Apache-2.0
// The layouts. Sources: compressed-tensors 0.19,
// compressors/quantized_compressors/pack_quantized.py; GPTQModel 7, nn_modules/qlinear; AutoAWQ
// 0.2.9, utils/packing_utils.py.
#include <string.h>

#include "base/strings.h"
#include "packed_layout.h"

static const uint8_t in_order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
static const uint8_t interleaved[8] = {0, 4, 1, 5, 2, 6, 3, 7};

// Versions 1 and 2 differ in the zeros alone.
#define GPTQ                                                                                       \
    .method = "gptq", .endings = {".qweight", ".qzeros", ".scales", ".g_idx"},                     \
    .codes = {.turned = true, .place = in_order},                                                  \
    .zeros = {.turned = true, .along_out = true, .place = in_order}, .scales_turned = true,        \
    .always_zeros = true, .always_groups = true, .short_group = true, .widest = 8

const struct tr_layout tr_layouts[TR_LAYOUTS] = {
    {.name = "compressed-tensors",
     .method = "compressed-tensors",
     .endings = {".weight_packed", ".weight_zero_point", ".weight_scale", ".weight_g_idx",
                 ".weight_shape"},
     .codes = {.place = in_order},
     .zeros = {.along_out = true, .place = in_order},
     .widest = 8},
    {.name = "gptq", GPTQ, .zeros_less_one = true},
    {.name = "gptq-v2", GPTQ},
    {.name = "awq",
     .method = "awq",
     .endings = {".qweight", ".qzeros", ".scales"},
     .codes = {.turned = true, .along_out = true, .place = interleaved},
     .zeros = {.turned = true, .along_out = true, .place = interleaved},
     .scales_turned = true,
     .always_zeros = true,
     .widest = 4},
};

const struct tr_layout *tr_layout_find(const char *name) {
    for (int i = 0; i < TR_LAYOUTS; i++)
        if (!strcmp(tr_layouts[i].name, name))
            return &tr_layouts[i];
    return NULL;
}

enum tr_status tr_layout_names(struct tr_string *text, struct tr_err *err) {
    for (int i = 0; i < TR_LAYOUTS; i++)
        TR_TRY(tr_string_format(text, err, "%s%s",
                                i == 0                ? ""
                                : i == TR_LAYOUTS - 1 ? " or "
                                                      : ", ",
                                tr_layouts[i].name));
    return TR_OK;
}
