// SPDX-License-Identifier: Apache-2.0
#include "rounding/awq.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"

enum { CLIP_STEPS = 10, CLIP_PARTS = 20 };

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static double largest(const float *w, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)w[i]));
    return most;
}

void tr_awq_add_weights(double *sums, const struct kn_grid *grid, const float *w, int64_t out,
                        int64_t in) {
    int64_t size = kn_grid_group(grid, in);
    for (int64_t o = 0; o < out; o++)
        for (int64_t first = 0; first < in; first += size) {
            const float *group = w + o * in + first;
            int64_t count = least(size, in - first);
            double divisor = largest(group, count) + 1e-6;
            for (int64_t i = 0; i < count; i++)
                sums[first + i] += fabs((double)group[i]) / divisor;
        }
}

void tr_awq_scales(double *s, const double *x_mean, const double *w_mean, int64_t in, int step) {
    double ratio = (double)(step - 1) / (TR_AWQ_TRIED - 2), low = INFINITY, high = 0;
    for (int64_t i = 0; i < in; i++) {
        s[i] = step ? fmax(pow(x_mean[i], ratio) / (pow(w_mean[i], 1 - ratio) + 1e-4), 1e-4) : 1;
        low = fmin(low, s[i]);
        high = fmax(high, s[i]);
    }
    double middle = sqrt(high * low);
    for (int64_t i = 0; i < in; i++)
        s[i] = isfinite(s[i] / middle) ? s[i] / middle : 1;
}

// ---- rounding under scales ---------------------------------------------------------------------

static void round_row(float *values, const struct kn_grid *grid, const float *w, const double *s,
                      int64_t in, double *group) {
    int64_t size = kn_grid_group(grid, in);
    for (int64_t first = 0; first < in; first += size) {
        int64_t count = least(size, in - first);
        for (int64_t i = 0; i < count; i++)
            group[i] = (double)(float)((double)w[first + i] * s[first + i]);
        struct kn_step_size step = kn_step_size_of(grid, group, count);
        for (int64_t i = 0; i < count; i++) {
            float value = (float)kn_value_of(step, kn_code_of(grid, step, group[i]));
            values[first + i] = (float)((double)value / s[first + i]);
        }
    }
}

enum tr_status tr_awq_round(float *values, const struct kn_grid *grid, const float *w,
                            const double *s, int64_t out, int64_t in, int threads,
                            struct tr_err *err) {
    int64_t size = kn_grid_group(grid, in);
    double *groups;
    TR_TRY(TR_NEW(&groups, threads * size, "a group of weights", err));
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++)
        for (int64_t o = t; o < out; o += threads)
            round_row(values + o * in, grid, w + o * in, s, in, groups + t * size);
    free(groups);
    return TR_OK;
}

// ---- clipping ----------------------------------------------------------------------------------

// e h e^T of the block of h that begins with input `first`.
static double square(const double *e, const double *h, int64_t in, int64_t first, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        const double *row = h + (first + i) * in + first;
        double part = 0.5 * row[i] * e[i];
        for (int64_t j = 0; j < i; j++)
            part += row[j] * e[j];
        sum += 2 * e[i] * part;
    }
    return sum;
}

struct clipping {
    const struct kn_grid *grid;
    const double *h;
    int64_t in;
    double *clamped, *error; // [group] each
};

static double error_at(const struct clipping *c, const float *w, int64_t first, int64_t count,
                       double bound) {
    for (int64_t i = 0; i < count; i++)
        c->clamped[i] = fmin(fmax((double)w[i], -bound), bound);
    struct kn_step_size step = kn_step_size_of(c->grid, c->clamped, count);
    for (int64_t i = 0; i < count; i++)
        c->error[i] = kn_value_of(step, kn_code_of(c->grid, step, c->clamped[i])) - (double)w[i];
    return square(c->error, c->h, c->in, first, count);
}

static void clip_group(const struct clipping *c, float *w, int64_t first, int64_t count) {
    double most = largest(w, count), best = INFINITY, bound = most;
    for (int step = 0; step < CLIP_STEPS; step++) {
        double tried = (1 - (double)step / CLIP_PARTS) * most;
        double error = error_at(c, w, first, count, tried);
        if (error < best) {
            best = error;
            bound = tried;
        }
    }
    for (int64_t i = 0; i < count; i++)
        w[i] = (float)fmin(fmax((double)w[i], -bound), bound);
}

enum tr_status tr_awq_clip(float *w, const struct kn_grid *grid, const double *h, int64_t out,
                           int64_t in, int threads, struct tr_err *err) {
    int64_t size = kn_grid_group(grid, in);
    double *scratch;
    TR_TRY(TR_NEW(&scratch, threads * 2 * size, "a group of weights", err));
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        double *own = scratch + t * 2 * size;
        const struct clipping c = {grid, h, in, own, own + size};
        for (int64_t o = t; o < out; o += threads)
            for (int64_t first = 0; first < in; first += size)
                clip_group(&c, w + o * in + first, first, least(size, in - first));
    }
    free(scratch);
    return TR_OK;
}
