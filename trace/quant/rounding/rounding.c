// SPDX-License-Identifier: Apache-2.0
#include "rounding/rounding.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "kernels/backend.h"

enum { SHRINKS = 80, SHRINK_PARTS = 100 };
static const double clip_power = 2.4;

static int highest(const struct tr_grid *grid) {
    return (1 << grid->bits) - 1;
}

// The scale as it is stored. One that is too small for its type is the smallest that is not 0: the
// group's values are then all 0 or one step away.
static float stored(const struct tr_grid *grid, double scale) {
    static const enum kn_type types[] = {[TR_F32] = KN_F32, [TR_F16] = KN_F16, [TR_BF16] = KN_BF16};
    static const float smallest[] = {
        [TR_F32] = 0x1p-126f, [TR_F16] = 0x1p-24f, [TR_BF16] = 0x1p-126f};
    uint32_t bits;
    float value = (float)scale;
    kn_convert(&bits, types[grid->scale_dtype], &value, KN_F32, 1);
    kn_convert(&value, KN_F32, &bits, types[grid->scale_dtype], 1);
    return value > smallest[grid->scale_dtype] ? value : smallest[grid->scale_dtype];
}

static struct tr_step_size from_range(const struct tr_grid *grid, double low, double high) {
    int n = highest(grid);
    if (grid->symmetric)
        return (struct tr_step_size){stored(grid, 2 * fmax(high, -low) / n), (n + 1) / 2};
    float scale = stored(grid, (high - low) / n);
    double zero = rint(-low / (double)scale);
    return (struct tr_step_size){scale, (int)fmin(fmax(zero, 0), n)};
}

int tr_code_of(const struct tr_grid *grid, struct tr_step_size step, double w) {
    double code = rint(w / (double)step.scale) + step.zero;
    return (int)fmin(fmax(code, 0), highest(grid));
}

static double misfit(const struct tr_grid *grid, struct tr_step_size step, const double *w,
                     int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += pow(fabs(tr_value_of(step, tr_code_of(grid, step, w[i])) - w[i]), clip_power);
    return sum;
}

static struct tr_step_size clipped(const struct tr_grid *grid, const double *w, int64_t count,
                                   double low, double high) {
    struct tr_step_size best = from_range(grid, low, high);
    double least = misfit(grid, best, w, count);
    for (int i = 1; i < SHRINKS; i++) {
        double part = 1 - (double)i / SHRINK_PARTS;
        struct tr_step_size step = from_range(grid, part * low, part * high);
        double sum = misfit(grid, step, w, count);
        if (sum < least) {
            least = sum;
            best = step;
        }
    }
    return best;
}

struct tr_step_size tr_step_size_of(const struct tr_grid *grid, const double *w, int64_t count) {
    double low = 0, high = 0;
    for (int64_t i = 0; i < count; i++) {
        low = fmin(low, w[i]);
        high = fmax(high, w[i]);
    }
    if (low == 0 && high == 0) {
        low = -1;
        high = 1;
    }
    return grid->clip ? clipped(grid, w, count, low, high) : from_range(grid, low, high);
}

// ---- whole weights -----------------------------------------------------------------------------

enum tr_status tr_codes_begin(struct tr_codes *codes, const struct tr_grid *grid, int64_t out,
                              int64_t in, bool ordered, const char *name, struct tr_err *err) {
    TR_TRY(tr_codes_new(codes, out, in, grid->bits, tr_grid_group(grid, in), ordered, name, err));
    codes->symmetric = grid->symmetric;
    codes->scale_dtype = grid->scale_dtype;
    return TR_OK;
}

enum tr_status tr_weights_finite(const float *w, int64_t count, const char *name,
                                 struct tr_err *err) {
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(w[i]))
            return tr_fail(err, TR_EUNSUPPORTED, "%s has a value that is not finite", name);
    return TR_OK;
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

static void round_row(struct tr_codes *codes, const struct tr_grid *grid, const float *w,
                      int64_t row, double *values) {
    for (int64_t g = 0; g < codes->groups; g++) {
        int64_t first = g * codes->group_size, left = codes->in - first;
        int64_t count = left < codes->group_size ? left : codes->group_size;
        for (int64_t i = 0; i < count; i++)
            values[i] = (double)w[row * codes->in + first + i];
        struct tr_step_size step = tr_step_size_of(grid, values, count);
        codes->scale[row * codes->groups + g] = step.scale;
        codes->zero[row * codes->groups + g] = (uint8_t)step.zero;
        for (int64_t i = 0; i < count; i++)
            codes->code[row * codes->in + first + i] = (uint8_t)tr_code_of(grid, step, values[i]);
    }
}

enum tr_status tr_round_to_nearest(struct tr_codes *codes, const struct tr_grid *grid,
                                   const float *w, int64_t out, int64_t in, int threads,
                                   const char *name, struct tr_err *err) {
    double *values;
    TR_TRY(tr_weights_finite(w, out * in, name, err));
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
