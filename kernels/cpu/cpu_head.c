// SPDX-License-Identifier: Apache-2.0
// The head and its softmax. Each tile leaves a few numbers per row. A loss is a divergence without
// candidates, so the bits are the same.
#include "head.h"

#include <math.h>

#include "check.h"
#include "cpu.h"
#include "cpu_head.h"
#include "vector_math.h"

struct partial {
    float maximum, sum; // sum of exp(z - maximum)
    float cross;        // of a candidate: sum of exp(z_base - maximum_base) * (z_base - z)
    int32_t best;       // the first column with the maximum, from the tile's first on
};

KN_CLONES static struct partial reduce_row(const float *z, int64_t count) {
    float maximum = -INFINITY, sum = 0;
#pragma omp simd reduction(max : maximum)
    for (int64_t i = 0; i < count; i++)
        maximum = z[i] > maximum ? z[i] : maximum;
    float shift = maximum == -INFINITY ? 0 : maximum;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += kn_exp(z[i] - shift);
    return (struct partial){.maximum = maximum, .sum = sum};
}

// A logit that is not finite makes the difference's own difference NaN, and so the sum.
KN_CLONES static float cross_row(const float *base, const float *z, float maximum, int64_t count) {
    float shift = maximum == -INFINITY ? 0 : maximum, sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) {
        float difference = base[i] - z[i];
        sum += kn_exp(base[i] - shift) * difference + (difference - difference);
    }
    return sum;
}

KN_CLONES static int32_t first_equal(const float *z, float value, int32_t count) {
    int32_t first = count;
#pragma omp simd reduction(min : first)
    for (int32_t i = 0; i < count; i++)
        first = z[i] == value && i < first ? i : first;
    return first;
}

// Of each row of a tile its part and target.
static void reduce(const struct cpu_head_pass *pass, const struct cpu_head_tile *t, int64_t stream,
                   const float *base_z, const float *z) {
    const struct kn_loss *loss = pass->base;
    struct kn_head_candidate to = kn_head_stream(pass->op, stream);
    const struct partial *base = cpu_head_part(pass, t->index, 0, t->row);
    struct partial *parts = cpu_head_part(pass, t->index, stream, t->row);
    for (int64_t r = 0; r < t->rows; r++, z += TILE_COLS, base_z += TILE_COLS) {
        int32_t wanted = loss->targets[t->row + r];
        int64_t target = wanted - loss->first_id - t->col;
        if (wanted >= 0 && target >= 0 && target < t->cols)
            to.target[t->row + r] = (double)z[target];
        parts[r] = reduce_row(z, t->cols);
        if (to.best)
            parts[r].best = first_equal(z, parts[r].maximum, (int32_t)t->cols);
        if (stream)
            parts[r].cross = cross_row(base_z, z, base[r].maximum, t->cols);
    }
}

// A part joins a row's sums of exp(z - maximum); what both sums were multiplied by, for others of
// the same maximum.
struct factors {
    double before, part;
};
static struct factors combine(double *maximum, double *sum, const struct partial *part) {
    double larger = fmax(*maximum, (double)part->maximum);
    double shift = larger == -INFINITY ? 0 : larger;
    double part_shift = part->maximum == -INFINITY ? 0 : (double)part->maximum;
    struct factors by = {exp(*maximum - shift), exp(part_shift - shift)};
    *sum = *sum * by.before + (double)part->sum * by.part;
    *maximum = larger;
    return by;
}

static void combine_best(const struct cpu_head_pass *pass, const struct kn_head_candidate *stream,
                         int64_t row, int64_t col_tile, const struct partial *part) {
    double highest = isnan(part->sum) ? (double)NAN : (double)part->maximum;
    if (stream->best)
        kn_head_take_best(stream, row, highest,
                          pass->base->first_id + col_tile * TILE_COLS + part->best);
}

static void combine_row(const struct cpu_head_pass *pass, int64_t row) {
    const struct kn_divergence *op = pass->op;
    struct kn_head_candidate base = kn_head_stream(op, 0);
    for (int64_t c = 0; c < pass->col_tiles; c++) {
        const struct partial *part = cpu_head_part(pass, c, 0, row);
        struct factors base_by = combine(&base.maximum[row], &base.sum[row], part);
        combine_best(pass, &base, row, c, part);
        for (int64_t i = 0; i < op->candidates; i++) {
            const struct kn_head_candidate *stream = &op->candidate[i];
            double *cross = &stream->cross[row];
            part = cpu_head_part(pass, c, 1 + i, row);
            combine(&stream->maximum[row], &stream->sum[row], part);
            combine_best(pass, stream, row, c, part);
            *cross = *cross * base_by.before + (double)part->cross * base_by.part;
        }
    }
}

static struct kn_matrix input(const void *op, int64_t candidate) {
    return ((const struct kn_divergence *)op)->candidate[candidate].x;
}

static enum kn_status run_head(struct kn_backend *self, const struct kn_divergence *op) {
    struct cpu_head_pass pass = {.base = &op->base,
                                 .candidates = op->candidates,
                                 .op = op,
                                 .input = input,
                                 .part_size = sizeof(struct partial),
                                 .reduce = reduce,
                                 .combine = combine_row};
    return cpu_head_run(self, &pass);
}

enum kn_status cpu_loss(struct kn_backend *self, const struct kn_loss *op) {
    struct kn_divergence alone = {.base = *op};
    KN_TRY(kn_check_loss(op, KN_F32));
    return run_head(self, &alone);
}

enum kn_status cpu_divergence(struct kn_backend *self, const struct kn_divergence *op) {
    KN_TRY(kn_check_divergence(op, KN_F32));
    return run_head(self, op);
}
