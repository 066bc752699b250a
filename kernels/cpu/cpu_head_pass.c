// SPDX-License-Identifier: Apache-2.0
#include "check.h"
#include "cpu.h"
#include "cpu_head.h"
#include "vector_math.h"

void *cpu_head_part(const struct cpu_head_pass *pass, int64_t col_tile, int64_t stream,
                    int64_t row) {
    int64_t at = (col_tile * (1 + pass->candidates) + stream) * pass->base->x.rows + row;
    return (char *)pass->parts + (size_t)at * pass->part_size;
}

// ---- a tile ------------------------------------------------------------------------------------

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

static void make_logits(const struct kn_loss *loss, const struct kn_matrix *x,
                        const struct cpu_head_tile *t, float *z) {
    cpu_tile_product(z, TILE_COLS, cpu_row(x, t->row), x->stride, t->rows, &t->w, 0, t->cols, NULL);
    for (int64_t r = 0; r < t->rows; r++)
        finish_logits(z + r * TILE_COLS, loss->bias ? loss->bias + t->col : NULL, t->cols, loss);
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

// Tile `index` of all, rows first; `wide` [TILE_COLS, k] where w is of another type.
static struct cpu_head_tile tile_at(const struct cpu_head_pass *pass, int64_t index, float *wide) {
    const struct kn_loss *loss = pass->base;
    struct cpu_head_tile t = {.row = index % pass->row_tiles * TILE_ROWS,
                              .index = index / pass->row_tiles};
    t.col = t.index * TILE_COLS;
    t.rows = cpu_min(TILE_ROWS, loss->x.rows - t.row);
    t.cols = cpu_min(TILE_COLS, loss->w.rows - t.col);
    t.w = rows_of_tile(&loss->w, t.col, t.cols, wide);
    return t;
}

// Tiles of f32 that a thread has room for: of the base, of a candidate, and one of f64.
static int64_t tiles_at_once(const struct cpu_head_pass *pass) {
    return pass->keeps_of_base ? 4 : pass->candidates ? 2 : 1;
}

static void run_tile(const struct cpu_head_pass *pass, int64_t index, float *scratch) {
    float *base_z = scratch, *z = scratch + TILE;
    struct cpu_head_tile t = tile_at(pass, index, scratch + tiles_at_once(pass) * TILE);
    t.of_base = pass->keeps_of_base ? (double *)(void *)(scratch + 2 * TILE) : NULL;
    make_logits(pass->base, &pass->base->x, &t, base_z);
    pass->reduce(pass, &t, 0, base_z, base_z);
    for (int64_t i = 0; i < pass->candidates; i++) {
        struct kn_matrix x = pass->input(pass->op, i);
        make_logits(pass->base, &x, &t, z);
        pass->reduce(pass, &t, 1 + i, base_z, z);
    }
}

// ---- the pass ----------------------------------------------------------------------------------

static bool fits_blas(const struct cpu_head_pass *pass) {
    bool fits = cpu_fits_blas(&pass->base->x) && cpu_fits_blas(&pass->base->w);
    for (int64_t i = 0; fits && i < pass->candidates; i++) {
        struct kn_matrix x = pass->input(pass->op, i);
        fits = cpu_fits_blas(&x);
    }
    return fits;
}

enum kn_status cpu_head_run(struct kn_backend *self, struct cpu_head_pass *pass) {
    const struct kn_loss *loss = pass->base;
    int64_t rows = loss->x.rows, wide = loss->w.type == KN_F32 ? 0 : loss->w.cols * TILE_COLS;
    struct cpu_scratch scratch;
    if (!fits_blas(pass))
        return KN_EUNSUPPORTED;
    pass->row_tiles = cpu_divide_up(rows, TILE_ROWS);
    pass->col_tiles = cpu_divide_up(loss->w.rows, TILE_COLS);
    int64_t parts = rows * pass->col_tiles * (1 + pass->candidates);
    KN_TRY(cpu_reserve(self, &scratch, (size_t)parts * pass->part_size,
                       (size_t)(tiles_at_once(pass) * TILE + wide) * sizeof(float)));
    pass->parts = scratch.common;
    int64_t tiles = pass->row_tiles * pass->col_tiles;
    int64_t work = rows * loss->w.rows / CPU_MULTIPLICATIONS * loss->w.cols;
    int threads = tiles > 1 ? cpu_threads(self, work) : 1;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t tile = 0; tile < tiles; tile++)
        run_tile(pass, tile, cpu_thread_scratch(&scratch));
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t r = 0; r < rows; r++)
        pass->combine(pass, r);
    return KN_OK;
}
