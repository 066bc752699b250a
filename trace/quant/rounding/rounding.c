// SPDX-License-Identifier: Apache-2.0
#include "rounding/rounding.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"

// ---- whole weights -----------------------------------------------------------------------------

enum tr_status tr_codes_begin(struct tr_codes *codes, const struct kn_grid *grid, int64_t out,
                              int64_t in, bool ordered, const char *name, struct tr_err *err) {
    static const enum tr_dtype dtypes[] = {
        [KN_F32] = TR_F32, [KN_F16] = TR_F16, [KN_BF16] = TR_BF16};
    TR_TRY(tr_codes_new(codes, out, in, grid->bits, kn_grid_group(grid, in), ordered, name, err));
    codes->symmetric = grid->symmetric;
    codes->scale_dtype = dtypes[grid->scale_type];
    return TR_OK;
}

enum tr_status tr_weights_finite(const float *w, int64_t count, int threads, const char *name,
                                 struct tr_err *err) {
    int wrong = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(| : wrong)
    for (int64_t i = 0; i < count; i++)
        wrong |= !isfinite(w[i]);
    return wrong ? tr_fail(err, TR_EUNSUPPORTED, "%s has a value that is not finite", name) : TR_OK;
}

enum tr_status tr_scales_finite(const struct tr_codes *codes, const char *name,
                                struct tr_err *err) {
    for (int64_t i = 0; i < codes->out * codes->groups; i++)
        if (!isfinite(codes->scale[i]))
            return tr_fail(err, TR_EUNSUPPORTED,
                           "%s has values so large that a group's scale is beyond %s", name,
                           codes->scale_dtype == TR_F16 ? "f16" : "its type");
    return TR_OK;
}

static void round_row(struct tr_codes *codes, const struct kn_grid *grid, const float *w,
                      int64_t row, double *values) {
    for (int64_t g = 0; g < codes->groups; g++) {
        int64_t first = g * codes->group_size, left = codes->in - first;
        int64_t count = left < codes->group_size ? left : codes->group_size;
        for (int64_t i = 0; i < count; i++)
            values[i] = (double)w[row * codes->in + first + i];
        struct kn_step_size step = kn_step_size_of(grid, values, count);
        codes->scale[row * codes->groups + g] = step.scale;
        codes->zero[row * codes->groups + g] = (uint8_t)step.zero;
        for (int64_t i = 0; i < count; i++)
            codes->code[row * codes->in + first + i] = (uint8_t)kn_code_of(grid, step, values[i]);
    }
}

enum tr_status tr_round_to_nearest(struct tr_codes *codes, const struct kn_grid *grid,
                                   const float *w, int64_t out, int64_t in, int threads,
                                   const char *name, struct tr_err *err) {
    double *values;
    TR_TRY(tr_weights_finite(w, out * in, threads, name, err));
    TR_TRY(TR_NEW(&values, threads * in, "a row of weights", err));
    enum tr_status status = tr_codes_begin(codes, grid, out, in, false, name, err);
    if (status == TR_OK) {
#pragma omp parallel for num_threads(threads) schedule(static, 1)
        for (int t = 0; t < threads; t++)
            for (int64_t row = t; row < out; row += threads)
                round_row(codes, grid, w, row, values + t * in);
        status = tr_scales_finite(codes, name, err);
    }
    free(values);
    if (status != TR_OK)
        tr_codes_free(codes);
    return status;
}

void tr_rounded_values(const struct tr_codes *codes, float *values, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t o = 0; o < codes->out; o++) {
        struct tr_codes row = *codes;
        row.out = 1;
        row.code += o * codes->in;
        row.scale += o * codes->groups;
        row.zero += o * codes->groups;
        tr_codes_values(&row, values + o * codes->in);
    }
}
