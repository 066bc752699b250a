// SPDX-License-Identifier: Apache-2.0
// Products of matrices with themselves: tiles of BLAS calls where vectors are many, and where they
// are few and long, sums of a tile of pairs in registers, so that each value that is loaded and
// widened is used several times.
#include <limits.h>

#include "check.h"
#include "cpu.h"
#include "vector_math.h"

enum kn_status cpu_gram(struct kn_backend *self, const struct kn_gram *op) {
    (void)self;
    int64_t cols = op->cols, rows = op->rows, width = op->width;
    const float *left = op->x + op->row * cols, *right = op->x + op->col * cols;
    KN_TRY(kn_check_gram(op));
    if (cols > INT_MAX || rows > INT_MAX || width > INT_MAX)
        return KN_EUNSUPPORTED;
    if (op->row == op->col && rows == width)
        cblas_ssyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)rows, (int)cols, 1, left,
                    (int)cols, 0, op->y, (int)width);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)width, (int)cols, 1,
                    left, (int)cols, right, (int)cols, 0, op->y, (int)width);
    return KN_OK;
}

// Vectors on either side of a tile: their sums and values fit sixteen registers.
enum { SIDE = 3 };

// Four lanes are what one instruction loads and widens.
typedef float float4 __attribute__((vector_size(16)));
typedef double double4 __attribute__((vector_size(32)));

KN_INLINE void load_wide(double4 to[SIDE], const float *const from[SIDE], int64_t i) {
    for (int k = 0; k < SIDE; k++) {
        float4 v;
        memcpy(&v, from[k] + i, sizeof v);
        to[k] = __builtin_convertvector(v, double4);
    }
}

KN_CLONES static void multiply_tile(double y[SIDE][SIDE], const float *const left[SIDE],
                                    const float *const right[SIDE], int64_t length) {
    double4 a[SIDE], b[SIDE], sums[SIDE][SIDE] = {0};
    int64_t i = 0;
    for (; i + 4 <= length; i += 4) {
        load_wide(a, left, i);
        load_wide(b, right, i);
        for (int l = 0; l < SIDE; l++)
            for (int r = 0; r < SIDE; r++)
                sums[l][r] += a[l] * b[r];
    }
    for (int l = 0; l < SIDE; l++) {
        for (int r = 0; r < SIDE; r++) {
            double4 s = sums[l][r];
            double rest = 0;
            for (int64_t k = i; k < length; k++)
                rest += (double)left[l][k] * (double)right[r][k];
            y[l][r] = (s[0] + s[1]) + (s[2] + s[3]) + rest;
        }
    }
}

// A tile that reaches over the last vector has that one again.
static void choose(const float *chosen[SIDE], const float *x, int64_t count, int64_t pitch,
                   int64_t first) {
    for (int64_t k = 0; k < SIDE; k++)
        chosen[k] = x + cpu_min(first + k, count - 1) * pitch;
}

enum kn_status cpu_inner_products(struct kn_backend *self, const struct kn_inner_products *op) {
    (void)self;
    const float *left[SIDE], *right[SIDE];
    double tile[SIDE][SIDE];
    int64_t count = op->count;
    KN_TRY(kn_check_inner_products(op));
    for (int64_t i = 0; i < count; i += SIDE) {
        choose(left, op->x, count, op->pitch, i);
        for (int64_t j = 0; j <= i; j += SIDE) {
            choose(right, op->x, count, op->pitch, j);
            multiply_tile(tile, left, right, op->length);
            for (int64_t l = i; l < cpu_min(i + SIDE, count); l++)
                for (int64_t r = j; r <= cpu_min(j + SIDE - 1, l); r++)
                    op->y[l * count + r] = tile[l - i][r - j];
        }
    }
    return KN_OK;
}

// ---- second moments ----------------------------------------------------------------------------

// Columns on either side of a tile of a second moment.
enum { MOMENT_TILE = 128 };

static void add_moment_tile(const struct kn_second_moment *op, int64_t row, int64_t col,
                            float *sums) {
    const struct kn_matrix *x = &op->x;
    int64_t height = cpu_min(MOMENT_TILE, x->cols - row),
            width = cpu_min(MOMENT_TILE, x->cols - col);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)height, (int)width, (int)x->rows, 1,
                cpu_row(x, 0) + row, (int)x->stride, cpu_row(x, 0) + col, (int)x->stride, 0, sums,
                MOMENT_TILE);
    for (int64_t i = 0; i < height; i++)
        for (int64_t j = 0; j < width && col + j <= row + i; j++)
            op->y[(row + i) * x->cols + col + j] += (double)sums[i * MOMENT_TILE + j];
}

enum kn_status cpu_second_moment(struct kn_backend *self, const struct kn_second_moment *op) {
    struct cpu_scratch scratch;
    KN_TRY(kn_check_second_moment(op, KN_F32));
    if (!cpu_fits_blas(&op->x))
        return KN_EUNSUPPORTED;
    if (!op->x.rows)
        return KN_OK;
    KN_TRY(cpu_reserve(self, &scratch, 0, sizeof(float) * MOMENT_TILE * MOMENT_TILE));
    int64_t side = cpu_divide_up(op->x.cols, MOMENT_TILE), tiles = side * side;
    int64_t work = op->x.cols * op->x.cols / CPU_MULTIPLICATIONS * op->x.rows;
    int threads = tiles > 1 ? cpu_threads(self, work) : 1;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t tile = 0; tile < tiles; tile++)
        if (tile % side <= tile / side)
            add_moment_tile(op, tile / side * MOMENT_TILE, tile % side * MOMENT_TILE,
                            cpu_thread_scratch(&scratch));
    return KN_OK;
}
