// SPDX-License-Identifier: Apache-2.0
// The head and its softmax: logits exist only as a tile per thread, of the base and of one
// candidate. Each tile leaves a few numbers per row; they are combined in the vocabulary's order. A
// loss is a divergence without candidates, so the bits are the same.
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

struct head {
    const struct kn_divergence *op;
    int64_t streams, row_tiles, col_tiles;
    struct partial *parts; // [col_tiles, streams, rows]
};

static struct partial *parts_of(const struct head *h, int64_t col_tile, int64_t stream) {
    return h->parts + (col_tile * h->streams + stream) * h->op->base.x.rows;
}

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

// z = scale * (z + bias), then the cap.
KN_CLONES static void finish_logits(float *z, const float *bias, int64_t count,
                                    const struct kn_loss *op) {
    float scale = op->scale, softcap = op->softcap;
    cpu_activate(z, bias, count, KN_IDENTITY, NULL);
    if (scale != 1) {
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            z[i] *= scale;
    }
    if (softcap > 0) {
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            z[i] = kn_cap(z[i], softcap);
    }
}

void cpu_head_logits(const struct kn_loss *loss, const struct kn_matrix *x,
                     const struct cpu_head_tile *t, float *z) {
    cpu_tile_product(z, TILE_COLS, cpu_row(x, t->row), x->stride, t->rows, &t->w, 0, t->cols, NULL);
    for (int64_t r = 0; r < t->rows; r++)
        finish_logits(z + r * TILE_COLS, loss->bias ? loss->bias + t->col : NULL, t->cols, loss);
}

// A tile of one stream: its logits into z [rows, TILE_COLS], of each row its part and target.
static void reduce_tile(const struct kn_divergence *op, const struct kn_head_candidate *stream,
                        const struct cpu_head_tile *t, float *z, struct partial *parts) {
    const struct kn_loss *loss = &op->base;
    cpu_head_logits(loss, &stream->x, t, z);
    for (int64_t r = t->row; r < t->row + t->rows; r++, z += TILE_COLS) {
        int64_t target = loss->targets[r] - loss->first_id - t->col;
        if (loss->targets[r] >= 0 && target >= 0 && target < t->cols)
            stream->target[r] = (double)z[target];
        parts[r] = reduce_row(z, t->cols);
        if (stream->best)
            parts[r].best = first_equal(z, parts[r].maximum, (int32_t)t->cols);
    }
}

// The rows of w that a tile meets, in f32: as they are or widened into `wide`, once for all
// streams.
static struct kn_matrix rows_of_tile(const struct kn_matrix *w, int64_t first, int64_t rows,
                                     float *wide) {
    if (w->type == KN_F32)
        return (struct kn_matrix){cpu_row(w, first), KN_F32, rows, w->cols, w->stride};
    for (int64_t r = 0; r < rows; r++)
        cpu_widen(wide + r * w->cols, w->data, w->type, (first + r) * w->stride, w->cols);
    return kn_matrix(wide, KN_F32, rows, w->cols);
}

struct cpu_head_tile cpu_head_tile_at(const struct kn_loss *loss, int64_t index, float *wide) {
    int64_t row_tiles = cpu_divide_up(loss->x.rows, TILE_ROWS);
    struct cpu_head_tile t = {.row = index % row_tiles * TILE_ROWS,
                              .col = index / row_tiles * TILE_COLS};
    t.rows = cpu_min(TILE_ROWS, loss->x.rows - t.row);
    t.cols = cpu_min(TILE_COLS, loss->w.rows - t.col);
    t.w = rows_of_tile(&loss->w, t.col, t.cols, wide);
    return t;
}

static void head_tile(const struct head *h, int64_t index, float *scratch) {
    const struct kn_loss *loss = &h->op->base;
    float *base_z = scratch, *z = scratch + TILE, *wide = scratch + (h->streams > 1 ? 2 : 1) * TILE;
    int64_t col_tile = index / h->row_tiles;
    struct cpu_head_tile t = cpu_head_tile_at(loss, index, wide);
    struct kn_head_candidate base = kn_head_stream(h->op, 0);
    struct partial *base_parts = parts_of(h, col_tile, 0);
    reduce_tile(h->op, &base, &t, base_z, base_parts);
    for (int64_t i = 1; i < h->streams; i++) {
        struct partial *parts = parts_of(h, col_tile, i) + t.row;
        reduce_tile(h->op, &h->op->candidate[i - 1], &t, z, parts - t.row);
        for (int64_t r = 0; r < t.rows; r++)
            parts[r].cross = cross_row(base_z + r * TILE_COLS, z + r * TILE_COLS,
                                       base_parts[t.row + r].maximum, t.cols);
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

static void combine_best(const struct head *h, const struct kn_head_candidate *stream, int64_t row,
                         int64_t col_tile, const struct partial *part) {
    double highest = isnan(part->sum) ? (double)NAN : (double)part->maximum;
    if (stream->best)
        kn_head_take_best(stream, row, highest,
                          h->op->base.first_id + col_tile * TILE_COLS + part->best);
}

static void combine_row(const struct head *h, int64_t row) {
    struct kn_head_candidate base = kn_head_stream(h->op, 0);
    for (int64_t c = 0; c < h->col_tiles; c++) {
        const struct partial *part = parts_of(h, c, 0) + row;
        struct factors base_by = combine(&base.maximum[row], &base.sum[row], part);
        combine_best(h, &base, row, c, part);
        for (int64_t i = 1; i < h->streams; i++) {
            const struct kn_head_candidate *stream = &h->op->candidate[i - 1];
            double *cross = &stream->cross[row];
            part = parts_of(h, c, i) + row;
            combine(&stream->maximum[row], &stream->sum[row], part);
            combine_best(h, stream, row, c, part);
            *cross = *cross * base_by.before + (double)part->cross * base_by.part;
        }
    }
}

static enum kn_status run_head(struct kn_backend *self, const struct kn_divergence *op) {
    const struct kn_loss *loss = &op->base;
    int64_t rows = loss->x.rows, streams = 1 + op->candidates;
    struct head h = {op, streams, cpu_divide_up(rows, TILE_ROWS),
                     cpu_divide_up(loss->w.rows, TILE_COLS), NULL};
    struct cpu_scratch scratch;
    int64_t wide = loss->w.type == KN_F32 ? 0 : loss->w.cols * TILE_COLS;
    KN_TRY(cpu_reserve(self, &scratch, (size_t)(rows * h.col_tiles * streams) * sizeof *h.parts,
                       (size_t)((streams > 1 ? 2 : 1) * TILE + wide) * sizeof(float)));
    h.parts = (struct partial *)(void *)scratch.common;
    int64_t tiles = h.row_tiles * h.col_tiles;
    int64_t work = rows * loss->w.rows / CPU_MULTIPLICATIONS * loss->w.cols;
    int threads = tiles > 1 ? cpu_threads(self, work) : 1;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t tile = 0; tile < tiles; tile++)
        head_tile(&h, tile, cpu_thread_scratch(&scratch));
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t r = 0; r < rows; r++)
        combine_row(&h, r);
    return KN_OK;
}

enum kn_status cpu_loss(struct kn_backend *self, const struct kn_loss *op) {
    struct kn_divergence alone = {.base = *op};
    KN_TRY(kn_check_loss(op, KN_F32));
    if (!(cpu_fits_blas(&op->x) && cpu_fits_blas(&op->w)))
        return KN_EUNSUPPORTED;
    return run_head(self, &alone);
}

enum kn_status cpu_divergence(struct kn_backend *self, const struct kn_divergence *op) {
    KN_TRY(kn_check_divergence(op, KN_F32));
    bool fits = cpu_fits_blas(&op->base.x) && cpu_fits_blas(&op->base.w);
    for (int64_t i = 0; fits && i < op->candidates; i++)
        fits = cpu_fits_blas(&op->candidate[i].x);
    return fits ? run_head(self, op) : KN_EUNSUPPORTED;
}
