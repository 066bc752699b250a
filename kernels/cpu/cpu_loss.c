// SPDX-License-Identifier: Apache-2.0
// The head and its softmax: logits exist only as a tile per thread. Each tile leaves a maximum and
// a sum of exponentials per row; they are combined in the vocabulary's order.
#include <math.h>

#include "check.h"
#include "cpu.h"
#include "vector_math.h"

enum { TILE_ROWS = 512, TILE_COLS = 384 };

struct partial {
    float maximum, sum; // sum of exp(z - maximum)
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
    return (struct partial){maximum, sum};
}

static void combine(double *maximum, double *sum, struct partial part) {
    double larger = fmax(*maximum, (double)part.maximum);
    double shift = larger == -INFINITY ? 0 : larger;
    double part_shift = part.maximum == -INFINITY ? 0 : (double)part.maximum;
    *sum = *sum * exp(*maximum - shift) + (double)part.sum * exp(part_shift - shift);
    *maximum = larger;
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

static void loss_tile(const struct kn_loss *op, int64_t row, int64_t rows, int64_t col,
                      int64_t cols, float *scratch, struct partial *parts) {
    float *logits = scratch, *wide = scratch + TILE_ROWS * TILE_COLS;
    cpu_tile_product(logits, TILE_COLS, cpu_row(&op->x, row), op->x.stride, rows, &op->w, col, cols,
                     wide);
    for (int64_t r = 0; r < rows; r++) {
        float *z = logits + r * TILE_COLS;
        finish_logits(z, op->bias ? op->bias + col : NULL, cols, op);
        int64_t target = op->targets[row + r] - op->first_id - col;
        if (op->targets[row + r] >= 0 && target >= 0 && target < cols)
            op->target[row + r] = (double)z[target];
        parts[row + r] = reduce_row(z, cols);
    }
}

enum kn_status cpu_loss(struct kn_backend *self, const struct kn_loss *op) {
    struct cpu_scratch scratch;
    int64_t rows = op->x.rows, row_tiles = cpu_divide_up(rows, TILE_ROWS);
    int64_t col_tiles = cpu_divide_up(op->w.rows, TILE_COLS);
    KN_TRY(kn_check_loss(op, KN_F32));
    if (!(cpu_fits_blas(&op->x) && cpu_fits_blas(&op->w)))
        return KN_EUNSUPPORTED;
    int64_t wide = op->w.type == KN_F32 ? 0 : op->w.cols;
    KN_TRY(cpu_reserve(self, &scratch, (size_t)(rows * col_tiles) * sizeof(struct partial),
                       TILE_COLS * sizeof(float) * (size_t)(TILE_ROWS + wide)));
    struct partial *parts = (struct partial *)(void *)scratch.common; // [col_tiles][rows]
    int64_t tiles = row_tiles * col_tiles;
    int64_t work = rows * op->w.rows / CPU_MULTIPLICATIONS * op->w.cols;
    int threads = tiles > 1 ? cpu_threads(self, work) : 1;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t row = tile % row_tiles * TILE_ROWS, col = tile / row_tiles * TILE_COLS;
        loss_tile(op, row, cpu_min(TILE_ROWS, rows - row), col,
                  cpu_min(TILE_COLS, op->w.rows - col), cpu_thread_scratch(&scratch),
                  parts + tile / row_tiles * rows);
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < col_tiles; c++)
            combine(&op->maximum[r], &op->sum[r], parts[c * rows + r]);
    return KN_OK;
}
