// SPDX-License-Identifier: Apache-2.0
#include "ckpt/codes.h"

#include <stdlib.h>

#include "base/alloc.h"

static enum tr_status fill(struct tr_codes *codes, bool ordered, const char *what,
                           struct tr_err *err) {
    uint64_t values = 0, scales = 0;
    if (!tr_mul((uint64_t)codes->out, (uint64_t)codes->in, &values) ||
        !tr_mul((uint64_t)codes->out, (uint64_t)codes->groups, &scales))
        return tr_fail(err, TR_ENOMEM, "no memory for %s: its shape overflows", what);
    TR_TRY(TR_NEW_UNSET(&codes->code, values, what, err));
    TR_TRY(TR_NEW(&codes->scale, scales, what, err));
    TR_TRY(TR_NEW(&codes->zero, scales, what, err));
    if (ordered)
        TR_TRY(TR_NEW(&codes->group_of, codes->in, what, err));
    return TR_OK;
}

enum tr_status tr_codes_new(struct tr_codes *codes, int64_t out, int64_t in, int bits,
                            int64_t group_size, bool ordered, const char *what,
                            struct tr_err *err) {
    struct tr_codes made = {.out = out,
                            .in = in,
                            .bits = bits,
                            .group_size = group_size,
                            .groups = (in - 1) / group_size + 1,
                            .scale_dtype = TR_F16};
    enum tr_status status = fill(&made, ordered, what, err);
    if (status != TR_OK)
        tr_codes_free(&made);
    else
        *codes = made;
    return status;
}

void tr_codes_free(struct tr_codes *codes) {
    free(codes->code);
    free(codes->scale);
    free(codes->zero);
    free(codes->group_of);
    *codes = (struct tr_codes){0};
}

static float value_of(float scale, uint8_t code, uint8_t zero) {
    return scale * (float)(code - zero);
}

static void ordered_row(const struct tr_codes *codes, const uint8_t *code, const float *scale,
                        const uint8_t *zero, float *values) {
    for (int64_t i = 0; i < codes->in; i++) {
        int32_t g = codes->group_of[i];
        values[i] = value_of(scale[g], code[i], zero[g]);
    }
}

static void plain_row(const struct tr_codes *codes, const uint8_t *code, const float *scale,
                      const uint8_t *zero, float *values) {
    for (int64_t g = 0, i = 0; g < codes->groups; g++) {
        int64_t end = codes->in - i < codes->group_size ? codes->in : i + codes->group_size;
        for (; i < end; i++)
            values[i] = value_of(scale[g], code[i], zero[g]);
    }
}

void tr_codes_values(const struct tr_codes *codes, float *values) {
    for (int64_t o = 0; o < codes->out; o++)
        (codes->group_of ? ordered_row : plain_row)(
            codes, codes->code + o * codes->in, codes->scale + o * codes->groups,
            codes->zero + o * codes->groups, values + o * codes->in);
}
