// SPDX-License-Identifier: Apache-2.0
// The head's logits once more, to compare distributions. Each term is computed in f64.
#include <math.h>

#include "check.h"
#include "cpu.h"
#include "cpu_head.h"
#include "head.h"
#include "vector_math.h"

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

// Of the base's tile its p, then of each row of a candidate's what it adds to the sums.
static void compare_tile(const struct cpu_head_pass *pass, const struct cpu_head_tile *t,
                         int64_t stream, const float *base_z, const float *z) {
    const struct kn_comparison *op = pass->op;
    for (int64_t r = 0; r < t->rows; r++) {
        int64_t row = t->row + r, at = r * TILE_COLS;
        double log_sum_base = log_sum_of(&op->base, row);
        if (stream == 0) {
            exponentials(z + at, t->cols, log_sum_base, t->of_base + at);
            continue;
        }
        const struct kn_compared *candidate = &op->candidate[stream - 1];
        compare_row(base_z + at, t->of_base + at, z + at, t->cols, log_sum_base,
                    candidate->maximum[row] + log(candidate->sum[row]),
                    cpu_head_part(pass, t->index, stream, row));
    }
}

static void add_row(const struct cpu_head_pass *pass, int64_t row) {
    const struct kn_comparison *op = pass->op;
    for (int64_t i = 0; i < op->candidates; i++)
        for (int64_t tile = 0; tile < pass->col_tiles; tile++) {
            const double *sums = cpu_head_part(pass, tile, 1 + i, row);
            for (int s = 0; s < KN_COMPARED; s++)
                op->candidate[i].compared[s * op->base.x.rows + row] += sums[s];
        }
}

static struct kn_matrix input(const void *op, int64_t candidate) {
    return ((const struct kn_comparison *)op)->candidate[candidate].x;
}

enum kn_status cpu_comparison(struct kn_backend *self, const struct kn_comparison *op) {
    struct cpu_head_pass pass = {.base = &op->base,
                                 .candidates = op->candidates,
                                 .op = op,
                                 .input = input,
                                 .part_size = KN_COMPARED * sizeof(double),
                                 .keeps_of_base = true,
                                 .reduce = compare_tile,
                                 .combine = add_row};
    KN_TRY(kn_check_comparison(op, KN_F32));
    return cpu_head_run(self, &pass);
}
