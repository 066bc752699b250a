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
    .always_zeros = true, .always_groups = true, .full_inputs = true, .full_outputs = true,        \
    .half_scales = true, .widest = 8

const struct tr_packed_layout tr_layouts[TR_LAYOUTS] = {
    {.name = "compressed-tensors",
     .method = "compressed-tensors",
     .endings = {".weight_packed", ".weight_zero_point", ".weight_scale", ".weight_g_idx",
                 ".weight_shape"},
     .codes = {.place = in_order},
     .zeros = {.along_out = true, .place = in_order},
     .widest = 8,
     .full_groups = true},
    {.name = "gptq", GPTQ, .zeros_less_one = true},
    {.name = "gptq-v2", GPTQ},
    {.name = "awq",
     .method = "awq",
     .endings = {".qweight", ".qzeros", ".scales"},
     .codes = {.turned = true, .along_out = true, .place = interleaved},
     .zeros = {.turned = true, .along_out = true, .place = interleaved},
     .scales_turned = true,
     .always_zeros = true,
     .widest = 4,
     .full_groups = true,
     .full_outputs = true,
     .half_scales = true},
};

const struct tr_packed_layout *tr_layout_find(const char *name) {
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

static enum tr_status refuse(const char *name, const struct tr_packed_layout *layout,
                             const char *what, struct tr_err *err) {
    return tr_fail(err, TR_EUNSUPPORTED, "%s cannot be stored as %s: %s", name, layout->name, what);
}

// What does not depend on the shape.
static enum tr_status check_kind(const struct tr_packed_layout *layout, const struct tr_codes *form,
                                 const char *name, struct tr_err *err) {
    if (form->bits != 4 && form->bits != layout->widest)
        return tr_fail(err, TR_EUNSUPPORTED, "%s cannot be stored as %s: it holds %s bits, not %d",
                       name, layout->name, layout->widest == 8 ? "4 or 8" : "4", form->bits);
    if (layout->half_scales && form->scale_dtype != TR_F16)
        return refuse(name, layout, "its scales are of f16", err);
    if (form->group_of && !layout->always_groups)
        return refuse(name, layout, "its readers know no groups out of the inputs' order", err);
    if (layout->zeros_less_one && !form->symmetric)
        return refuse(name, layout,
                      "readers differ in what a zero of 0 becomes, which is stored less one: "
                      "store it as gptq-v2",
                      err);
    return TR_OK;
}

enum tr_status tr_layout_check(const struct tr_packed_layout *layout, const struct tr_codes *form,
                               const char *name, struct tr_err *err) {
    TR_TRY(check_kind(layout, form, name, err));
    const struct {
        bool asked;
        int64_t count, by;
        const char *what;
    } limits[] = {
        {layout->full_groups, form->in, form->group_size, "inputs are no multiple of the group's"},
        {layout->full_inputs, form->in, 32 / form->bits, "inputs are no multiple of a word's"},
        {layout->full_outputs, form->out, 32 / form->bits, "outputs are no multiple of a word's"},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].asked && limits[i].count % limits[i].by)
            return tr_fail(err, TR_EUNSUPPORTED, "%s cannot be stored as %s: its %lld %s %lld",
                           name, layout->name, (long long)limits[i].count, limits[i].what,
                           (long long)limits[i].by);
    return TR_OK;
}
