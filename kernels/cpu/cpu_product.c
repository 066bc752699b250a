// SPDX-License-Identifier: Apache-2.0
// Dense layers: y is cut into tiles of fixed size, each one BLAS call of one thread, bias and
// activation applied while the tile is in cache.
#include <stddef.h>

#include "check.h"
#include "cpu.h"
#include "reference.h"

enum { TILE_ROWS = 512, TILE_COLS = 384, FEW_ROWS_COLS = 64 };

void cpu_tile_product(float *y, int64_t y_stride, const float *x, int64_t x_stride, int64_t rows,
                      const struct kn_matrix *w, int64_t first_row, int64_t w_rows, float *wide) {
    const float *panel = (const float *)w->data + first_row * w->stride;
    int64_t stride = w->stride;
    if (rows <= CPU_FEW_ROWS) {
        cpu_few_rows(y, y_stride, x, x_stride, rows, w, first_row, w_rows);
        return;
    }
    if (w->type != KN_F32) {
        for (int64_t r = 0; r < w_rows; r++)
            cpu_widen(wide + r * w->cols, w->data, w->type, (first_row + r) * stride, w->cols);
        panel = wide;
        stride = w->cols;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)w_rows, (int)w->cols, 1, x,
                (int)x_stride, panel, (int)stride, 0, y, (int)y_stride);
}

static int64_t tile_cols_of(const struct kn_product *op) {
    return op->y.rows <= CPU_FEW_ROWS ? FEW_ROWS_COLS : TILE_COLS;
}

static int64_t tiles_of(const struct kn_product *op) {
    return cpu_divide_up(op->y.rows, TILE_ROWS) * cpu_divide_up(op->y.cols, tile_cols_of(op));
}

// wide: as in cpu_tile_product.
static void multiply_tile(const struct kn_product *op, int64_t tile, float *wide) {
    int64_t tile_cols = tile_cols_of(op), row_tiles = cpu_divide_up(op->y.rows, TILE_ROWS);
    int64_t row = tile % row_tiles * TILE_ROWS, col = tile / row_tiles * tile_cols;
    int64_t rows = cpu_min(TILE_ROWS, op->y.rows - row);
    int64_t cols = cpu_min(tile_cols, op->y.cols - col);
    float *y = cpu_row(&op->y, row) + col;
    cpu_tile_product(y, op->y.stride, cpu_row(&op->x, row), op->x.stride, rows, &op->w, col, cols,
                     wide);
    for (int64_t r = 0; r < rows; r++)
        cpu_activate(y + r * op->y.stride, op->bias ? op->bias + col : NULL, cols, op->activation,
                     op->parameters);
}

static bool fits_blas(const struct kn_product *op) {
    return cpu_fits_blas(&op->x) && cpu_fits_blas(&op->y) && cpu_fits_blas(&op->w);
}

static size_t wide_bytes(const struct kn_product *op) {
    return op->w.type == KN_F32 ? 0 : TILE_COLS * (size_t)op->w.cols * sizeof(float);
}

static int threads_for(const struct kn_backend *self, const struct kn_product *op, int64_t tiles) {
    int64_t work = op->y.rows * op->y.cols / CPU_MULTIPLICATIONS * op->w.cols;
    return tiles > 1 ? cpu_threads(self, work) : 1;
}

enum kn_status cpu_product(struct kn_backend *self, const struct kn_product *op) {
    struct cpu_scratch scratch;
    KN_TRY(kn_check_product(op, KN_F32));
    if (!fits_blas(op))
        return KN_EUNSUPPORTED;
    KN_TRY(cpu_reserve(self, &scratch, 0, wide_bytes(op)));
    int64_t tiles = tiles_of(op);
    int threads = threads_for(self, op, tiles);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t tile = 0; tile < tiles; tile++)
        multiply_tile(op, tile, cpu_thread_scratch(&scratch));
    return KN_OK;
}

// ---- groups ------------------------------------------------------------------------------------

// The group that a tile belongs to; first[g]: the tiles of all groups before it.
static int64_t group_of(const int64_t *first, int64_t groups, int64_t tile) {
    int64_t low = 0, high = groups;
    while (high - low > 1) { // the last group that begins at this tile or before it has it
        int64_t middle = (low + high) / 2;
        if (first[middle] <= tile)
            low = middle;
        else
            high = middle;
    }
    return low;
}

// The tiles of all groups side by side: one group's are few, and not equally large.
enum kn_status cpu_grouped_product(struct kn_backend *self, const struct kn_grouped_product *op) {
    struct cpu_scratch scratch;
    KN_TRY(kn_check_grouped_product(op, KN_F32));
    KN_TRY(kn_check_groups(op));
    if (!fits_blas(&op->product))
        return KN_EUNSUPPORTED;
    KN_TRY(cpu_reserve(self, &scratch, ((size_t)op->groups + 1) * sizeof(int64_t),
                       wide_bytes(&op->product)));
    int64_t *first = (int64_t *)scratch.common;
    first[0] = 0;
    for (int64_t g = 0; g < op->groups; g++) {
        struct kn_product product = kn_product_of_group(op, g);
        first[g + 1] = first[g] + tiles_of(&product);
    }
    struct kn_product all = op->product;
    all.y.rows = kn_rows_of_groups(op);
    int threads = threads_for(self, &all, first[op->groups]);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t tile = 0; tile < first[op->groups]; tile++) {
        int64_t group = group_of(first, op->groups, tile);
        struct kn_product product = kn_product_of_group(op, group);
        multiply_tile(&product, tile - first[group], cpu_thread_scratch(&scratch));
    }
    return kn_gate_groups(self, op, kn_rows_of_groups(op));
}
