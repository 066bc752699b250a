// SPDX-License-Identifier: Apache-2.0
// The sufficient statistics of residual adds: three dot products a token, in f64; the end of a
// block, and what the statistics sum up to.
#include <math.h>

#include "check.h"
#include "cpu.h"
#include "row_sums.h"
#include "summary.h"

struct statistics {
    double xx, xd, dd;
};

struct statistics_sums {
    struct kn_sum xx, xd, dd;
};

// The f64 value of four elements of a row plus its addend, the sum rounded to f32.
KN_INLINE void load_sum(kn_double4 *to, const float *row, const float *addend, int64_t i) {
    kn_float4 v, a;
    kn_load4(&v, row + i);
    if (addend) {
        kn_load4(&a, addend + i);
        v += a;
    }
    *to = __builtin_convertvector(v, kn_double4);
}

KN_CLONES static struct statistics row_statistics(const float *x, const float *x_addend,
                                                  const float *delta, const float *delta_addend,
                                                  int64_t count) {
    struct statistics_sums sums = {0};
    double xx = 0, xd = 0, dd = 0;
    kn_double4 v, e;
    int64_t i = 0;
    for (; i + KN_SUM_STEP <= count; i += KN_SUM_STEP)
        for (int l = 0; l < KN_SUM_VECTORS; l++) {
            load_sum(&v, x, x_addend, i + 4 * l);
            load_sum(&e, delta, delta_addend, i + 4 * l);
            sums.xx.lanes[l] += v * v;
            sums.xd.lanes[l] += v * e;
            sums.dd.lanes[l] += e * e;
        }
    for (; i < count; i++) {
        double value = (double)(x_addend ? x[i] + x_addend[i] : x[i]);
        double change = (double)(delta_addend ? delta[i] + delta_addend[i] : delta[i]);
        xx += value * value;
        xd += value * change;
        dd += change * change;
    }
    return (struct statistics){kn_sum_total(&sums.xx, xx), kn_sum_total(&sums.xd, xd),
                               kn_sum_total(&sums.dd, dd)};
}

// An add of which nothing is there has no statistics.
static struct statistics add_statistics(const float *x, const float *x_addend, const float *delta,
                                        const float *delta_addend, int64_t count) {
    const struct statistics none = {(double)NAN, (double)NAN, (double)NAN};
    return delta ? row_statistics(x, x_addend, delta, delta_addend, count) : none;
}

static void write_adds(const struct kn_block_end *op, int64_t row, const float *x,
                       const float *attention, const float *mlp) {
    const float *entering = op->parallel ? NULL : attention;
    const float *delta = attention ? attention : mlp, *addend = attention ? mlp : NULL;
    int64_t rows = op->x.rows, cols = op->x.cols;
    const struct statistics adds[KN_RESIDUAL_ADDS] = {
        [KN_ADD_ATTENTION] = add_statistics(x, NULL, attention, NULL, cols),
        [KN_ADD_MLP] = add_statistics(x, entering, mlp, NULL, cols),
        [KN_ADD_BLOCK] = add_statistics(x, NULL, delta, addend, cols)};
    for (int64_t a = 0; a < KN_RESIDUAL_ADDS; a++) {
        op->xx[a * rows + row] = adds[a].xx;
        op->xd[a * rows + row] = adds[a].xd;
        op->dd[a * rows + row] = adds[a].dd;
    }
}

// Row by row, so that a row's three statistics and its sum find it in the cache.
enum kn_status cpu_block_end(struct kn_backend *self, const struct kn_block_end *op) {
    KN_TRY(kn_check_block_end(op));
    int threads = cpu_row_threads(self, &op->x);
#pragma omp parallel for num_threads(threads)
    for (int64_t r = 0; r < op->x.rows; r++) {
        float *x = cpu_row(&op->x, r);
        const float *attention = cpu_row(&op->attention, r), *mlp = cpu_row(&op->mlp, r);
        if (op->xx)
            write_adds(op, r, x, attention, mlp);
        if (attention || mlp)
            cpu_add_row(x, attention ? attention : mlp, attention ? mlp : NULL, op->x.cols);
    }
    return KN_OK;
}

enum kn_status cpu_summary(struct kn_backend *self, const struct kn_summary *op) {
    KN_TRY(kn_check_summary(op));
    // A token's derivation is about 16 times the work of a row op's element.
    int threads = cpu_threads(self, 16 * op->sequences * op->seq_len);
#pragma omp parallel for num_threads(threads)
    for (int64_t s = 0; s < op->sequences; s++)
        kn_summarise_sequence(op, s);
    return KN_OK;
}
