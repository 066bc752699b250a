// SPDX-License-Identifier: Apache-2.0
// Dense layers: y is cut into tiles of fixed size, each one BLAS call of one thread, bias and
// activation applied while the tile is in cache.
#include <stddef.h>

#include "check.h"
#include "cpu.h"

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

enum kn_status cpu_product(struct kn_backend *self, const struct kn_product *op) {
    struct cpu_scratch scratch;
    bool is_wide = op->w.type == KN_F32;
    KN_TRY(kn_check_product(op, KN_F32));
    if (!(cpu_fits_blas(&op->x) && cpu_fits_blas(&op->y) && cpu_fits_blas(&op->w)))
        return KN_EUNSUPPORTED;
    size_t wide = is_wide ? 0 : TILE_COLS * (size_t)op->w.cols * sizeof(float);
    KN_TRY(cpu_reserve(self, &scratch, 0, wide));
    int64_t tile_cols = op->y.rows <= CPU_FEW_ROWS ? FEW_ROWS_COLS : TILE_COLS;
    int64_t row_tiles = cpu_divide_up(op->y.rows, TILE_ROWS);
    int64_t col_tiles = cpu_divide_up(op->y.cols, tile_cols);
    int64_t tiles = row_tiles * col_tiles;
    int64_t work = op->y.rows * op->y.cols / CPU_MULTIPLICATIONS * op->w.cols;
    int threads = tiles > 1 ? cpu_threads(self, work) : 1;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t row = tile % row_tiles * TILE_ROWS, col = tile / row_tiles * tile_cols;
        int64_t rows = cpu_min(TILE_ROWS, op->y.rows - row);
        int64_t cols = cpu_min(tile_cols, op->y.cols - col);
        float *y = cpu_row(&op->y, row) + col;
        cpu_tile_product(y, op->y.stride, cpu_row(&op->x, row), op->x.stride, rows, &op->w, col,
                         cols, is_wide ? NULL : cpu_thread_scratch(&scratch));
        for (int64_t r = 0; r < rows; r++)
            cpu_activate(y + r * op->y.stride, op->bias ? op->bias + col : NULL, cols,
                         op->activation, op->parameters);
    }
    return KN_OK;
}
