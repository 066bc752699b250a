// SPDX-License-Identifier: Apache-2.0
// The head's panels once more, to compare distributions. Sums of a tile's rows are kept and added
// in the vocabulary's order, so that they depend on no thread. Each term is computed in f64.
#include <math.h>
#include <string.h>

#include "check.h"
#include "cpu.h"
#include "cpu_head.h"
#include "head.h"
#include "vector_math.h"

struct comparing {
    const struct kn_comparison *op;
    int64_t row_tiles, col_tiles;
    double *parts; // [col_tiles, candidates, rows, KN_COMPARED]
};

static double *part_of(const struct comparing *c, int64_t col_tile, int64_t candidate,
                       int64_t row) {
    int64_t at = (col_tile * c->op->candidates + candidate) * c->op->base.x.rows + row;
    return c->parts + at * KN_COMPARED;
}

// p of the base's logits, the same for every candidate.
KN_CLONES static void exponentials(const float *z, int64_t count, double log_sum, double *p) {
#pragma omp simd
    for (int64_t c = 0; c < count; c++)
        p[c] = kn_exp_f64((double)z[c] - log_sum);
}

KN_CLONES static void compare_row(const float *base, const double *p, const float *z, int64_t count,
                                  double log_sum_base, double log_sum, double sums[KN_COMPARED]) {
    double jensen = 0, dot = 0, square = 0, base_square = 0, distance = 0, reversed = 0;
#pragma omp simd reduction(+ : jensen, dot, square, base_square, distance, reversed)
    for (int64_t c = 0; c < count; c++) {
        double token[KN_COMPARED], log_q = (double)z[c] - log_sum, q = kn_exp_f64(log_q);
        kn_mixture((double)base[c] - log_sum_base, p[c], log_q, q, kn_log1p_f64(kn_unlike(p[c], q)),
                   token);
        kn_logits((double)base[c], (double)z[c], token);
        jensen += token[KN_JENSEN];
        dot += token[KN_DOT];
        square += token[KN_SQUARE];
        base_square += token[KN_BASE_SQUARE];
        distance += token[KN_DISTANCE];
        reversed += token[KN_REVERSED];
    }
    sums[KN_JENSEN] = jensen;
    sums[KN_DOT] = dot;
    sums[KN_SQUARE] = square;
    sums[KN_BASE_SQUARE] = base_square;
    sums[KN_DISTANCE] = distance;
    sums[KN_REVERSED] = reversed;
}

static double log_sum_of(const struct kn_loss *base, int64_t row) {
    return base->maximum[row] + log(base->sum[row]);
}

static void compare_tile(const struct comparing *c, int64_t index, float *scratch) {
    const struct kn_loss *base = &c->op->base;
    float *base_z = scratch, *z = scratch + TILE, *wide = scratch + 4 * TILE;
    double *p = (double *)(void *)(scratch + 2 * TILE);
    struct cpu_head_tile t = cpu_head_tile_at(base, index, wide);
    cpu_head_logits(base, &base->x, &t, base_z);
    for (int64_t r = 0; r < t.rows; r++)
        exponentials(base_z + r * TILE_COLS, t.cols, log_sum_of(base, t.row + r),
                     p + r * TILE_COLS);
    for (int64_t i = 0; i < c->op->candidates; i++) {
        const struct kn_compared *candidate = &c->op->candidate[i];
        cpu_head_logits(base, &candidate->x, &t, z);
        for (int64_t r = 0; r < t.rows; r++) {
            int64_t row = t.row + r, at = r * TILE_COLS;
            compare_row(base_z + at, p + at, z + at, t.cols, log_sum_of(base, row),
                        candidate->maximum[row] + log(candidate->sum[row]),
                        part_of(c, index / c->row_tiles, i, row));
        }
    }
}

static void add_row(const struct comparing *c, int64_t row) {
    int64_t rows = c->op->base.x.rows;
    for (int64_t i = 0; i < c->op->candidates; i++)
        for (int64_t tile = 0; tile < c->col_tiles; tile++)
            for (int s = 0; s < KN_COMPARED; s++)
                c->op->candidate[i].compared[s * rows + row] += part_of(c, tile, i, row)[s];
}

static enum kn_status run(struct kn_backend *self, const struct kn_comparison *op) {
    const struct kn_loss *base = &op->base;
    int64_t rows = base->x.rows;
    struct comparing c = {op, cpu_divide_up(rows, TILE_ROWS),
                          cpu_divide_up(base->w.rows, TILE_COLS), NULL};
    struct cpu_scratch scratch;
    int64_t wide = base->w.type == KN_F32 ? 0 : base->w.cols * TILE_COLS;
    int64_t parts = c.col_tiles * op->candidates * rows * KN_COMPARED;
    KN_TRY(cpu_reserve(self, &scratch, (size_t)parts * sizeof *c.parts,
                       (size_t)(4 * TILE + wide) * sizeof(float)));
    c.parts = (double *)(void *)scratch.common;
    int64_t tiles = c.row_tiles * c.col_tiles;
    int64_t work = rows * base->w.rows / CPU_MULTIPLICATIONS * base->w.cols;
    int threads = tiles > 1 ? cpu_threads(self, work) : 1;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t tile = 0; tile < tiles; tile++)
        compare_tile(&c, tile, cpu_thread_scratch(&scratch));
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t r = 0; r < rows; r++)
        add_row(&c, r);
    return KN_OK;
}

enum kn_status cpu_comparison(struct kn_backend *self, const struct kn_comparison *op) {
    KN_TRY(kn_check_comparison(op, KN_F32));
    bool fits = cpu_fits_blas(&op->base.x) && cpu_fits_blas(&op->base.w);
    for (int64_t i = 0; fits && i < op->candidates; i++)
        fits = cpu_fits_blas(&op->candidate[i].x);
    return fits ? run(self, op) : KN_EUNSUPPORTED;
}
