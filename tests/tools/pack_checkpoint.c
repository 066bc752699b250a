// SPDX-License-Identifier: Apache-2.0
// pack_checkpoint FROM TO LAYOUT BITS GROUP symmetric|asymmetric|ordered F16|BF16|F32 [DROP FORM
// [LEFT]]: a checkpoint in few bits, whose codes are its weights' nearest values; modules whose
// names hold LEFT stay. "ordered" puts inputs into groups by a permutation. Norms get other values
// where FORM is "norms".
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "ckpt/checkpoint.h"
#include "drop/packing.h"
#include "drop/write.h"
#include "kernels/convert.h"

struct rounding {
    struct tr_packing packing;
    struct tr_checkpoint *checkpoint; // the source, opened again
    const char *left;                 // NULL: nothing
    bool norms;
};

static enum tr_packing_fate fate(void *user, const struct tr_tensor *tensor) {
    const struct rounding *r = user;
    bool matrix = tensor->dims == 2 && strpbrk(tensor->name, "0123456789") &&
                  !strstr(tensor->name, "gate.weight"); // of a block, and no router
    if (r->left && strstr(tensor->name, r->left))
        return TR_PACKING_STAYS;
    if (r->norms && strstr(tensor->name, "norm.weight"))
        return TR_PACKING_VALUES;
    return matrix ? TR_PACKING_CODES : TR_PACKING_STAYS;
}

static enum tr_status read_values(const struct rounding *r, const struct tr_tensor *tensor,
                                  float **values_p, struct tr_err *err) {
    uint64_t count = tensor->bytes / tr_dtype_size(tensor->dtype);
    char *bytes = malloc(tensor->bytes);
    float *values = malloc(count * sizeof *values);
    const struct tr_tensor *own = tr_checkpoint_find(r->checkpoint, tensor->name);
    enum tr_status status =
        tr_checkpoint_read(r->checkpoint, own, 0, bytes, (size_t)tensor->bytes, err);
    for (uint64_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, bytes + 2 * i, 2);
        if (tensor->dtype == TR_F32)
            memcpy(&values[i], bytes + 4 * i, 4);
        else
            values[i] = tensor->dtype == TR_F16 ? kn_float_of_f16(half) : kn_float_of_bf16(half);
    }
    free(bytes);
    *values_p = values;
    return status;
}

static float round_scale(float scale, enum tr_dtype dtype) {
    return dtype == TR_F16    ? kn_float_of_f16(kn_f16_of_float(scale))
           : dtype == TR_BF16 ? kn_float_of_bf16(kn_bf16_of_float(scale))
                              : scale;
}

static void round_group(struct tr_codes *codes, const float *weight, int64_t o, int64_t g) {
    int most = (1 << codes->bits) - 1;
    int64_t at = o * codes->groups + g;
    float low = 0, high = 0;
    for (int64_t i = 0; i < codes->in; i++)
        if ((codes->group_of ? codes->group_of[i] : i / codes->group_size) == g) {
            low = fminf(low, weight[o * codes->in + i]);
            high = fmaxf(high, weight[o * codes->in + i]);
        }
    float largest = fmaxf(-low, high);
    float scale = codes->symmetric ? 2 * largest / (float)most : (high - low) / (float)most;
    scale = round_scale(scale > 0 ? scale : 1, codes->scale_dtype);
    int zero = codes->symmetric ? (most + 1) / 2 : (int)lrintf(-low / scale);
    codes->scale[at] = scale;
    codes->zero[at] = (uint8_t)(zero > most ? most : zero);
    for (int64_t i = 0; i < codes->in; i++)
        if ((codes->group_of ? codes->group_of[i] : i / codes->group_size) == g) {
            long code = lrintf(weight[o * codes->in + i] / scale) + codes->zero[at];
            codes->code[o * codes->in + i] = (uint8_t)(code < 0 ? 0 : code > most ? most : code);
        }
}

static enum tr_status give_codes(void *user, const struct tr_tensor *tensor, struct tr_codes *codes,
                                 struct tr_err *err) {
    const struct rounding *r = user;
    int64_t in = tensor->shape[1], group = r->packing.group_size < 0 ? in : r->packing.group_size;
    float *weight;
    TR_TRY(read_values(r, tensor, &weight, err));
    TR_TRY(tr_codes_new(codes, tensor->shape[0], in, r->packing.bits, group, r->packing.ordered,
                        tensor->name, err));
    codes->symmetric = r->packing.symmetric;
    codes->scale_dtype = r->packing.scale_dtype;
    for (int64_t i = 0; codes->group_of && i < in; i++)
        codes->group_of[i] = (int32_t)(i * 7 % in / group);
    for (int64_t o = 0; o < codes->out; o++)
        for (int64_t g = 0; g < codes->groups; g++)
            round_group(codes, weight, o, g);
    free(weight);
    return TR_OK;
}

static enum tr_status give_values(void *user, const struct tr_tensor *tensor, float *values,
                                  struct tr_err *err) {
    float *old;
    TR_TRY(read_values(user, tensor, &old, err));
    for (uint64_t i = 0; i < tensor->bytes / tr_dtype_size(tensor->dtype); i++)
        values[i] = old[i] / 2;
    free(old);
    return TR_OK;
}

int main(int argc, char **argv) {
    struct tr_err err = {0};
    struct tr_string told = {0};
    if (argc < 8)
        return 2;
    const char *dtype = argv[7], *drop = argc > 8 && *argv[8] ? argv[8] : NULL;
    const char *form = argc > 9 && *argv[9] ? argv[9] : NULL;
    struct rounding r = {.packing = {.layout = tr_layout_find(argv[3]),
                                     .bits = atoi(argv[4]),
                                     .group_size = atoi(argv[5]),
                                     .symmetric = strcmp(argv[6], "asymmetric") != 0,
                                     .ordered = !strcmp(argv[6], "ordered"),
                                     .scale_dtype = !strcmp(dtype, "F32")   ? TR_F32
                                                    : !strcmp(dtype, "F16") ? TR_F16
                                                                            : TR_BF16,
                                     .method = "nearest",
                                     .fate = fate,
                                     .codes = give_codes,
                                     .values = give_values},
                         .left = argc > 10 ? argv[10] : NULL,
                         .norms = form && !strcmp(form, "norms")};
    const struct tr_drop_write_options options = {.source = argv[1],
                                                  .target = argv[2],
                                                  .drop = drop,
                                                  .form =
                                                      drop ? tr_drop_form_find(form, NULL) : NULL,
                                                  .packing = &r.packing,
                                                  .threads = 1,
                                                  .made_by = "pack_checkpoint"};
    r.packing.user = &r;
    enum tr_status status = tr_checkpoint_open(&r.checkpoint, argv[1], &err);
    if (status == TR_OK)
        status = tr_drop_write(&options, &told, &err);
    tr_checkpoint_close(r.checkpoint);
    puts(status == TR_OK ? told.data : "");
    if (status != TR_OK)
        fprintf(stderr, "pack_checkpoint: %s\n", err.text);
    tr_string_free(&told);
    return status == TR_OK ? 0 : 1;
}
