// SPDX-License-Identifier: Apache-2.0
// Rounding that makes up for itself, a tile of rows a thread: rows know nothing of each other.
#include <limits.h>

#include "check.h"
#include "cpu.h"

enum { ROWS = 32, BLOCK = KN_COMPENSATION_BLOCK };

struct tile {
    const struct kn_compensation *op;
    int64_t size, groups; // of groups of inputs
    int64_t row, rows;
    double *w;     // [ROWS, n], the inputs in their order
    double *error; // [ROWS, BLOCK]
    double *group; // [size]: a group's values
};

static int64_t group_at(const struct tile *t, int64_t place) {
    return (t->op->input_order == KN_ORDER_GROUPS ? place : t->op->order[place]) / t->size;
}

static void set_step(const struct tile *t, int64_t r, int64_t group, const double *w,
                     int64_t count) {
    struct kn_step_size step = kn_step_size_of(&t->op->grid, w, count);
    int64_t at = (t->row + r) * t->groups + group;
    t->op->scale[at] = step.scale;
    t->op->zero[at] = (uint8_t)step.zero;
}

// The steps of all groups of a row as it is in the file, before anything is made up for.
static void set_all_steps(const struct tile *t, int64_t r, const float *w) {
    const struct kn_compensation *op = t->op;
    for (int64_t first = 0; first < op->n; first += t->size) {
        int64_t count = cpu_min(t->size, op->n - first);
        for (int64_t i = first; i < first + count; i++)
            t->group[i - first] = (double)w[op->input_order == KN_ORDER_GROUPS ? op->order[i] : i];
        set_step(t, r, first / t->size, t->group, count);
    }
}

// Rounds input `place` of a row and makes up for it up to the block's end.
static void round_input(const struct tile *t, int64_t r, int64_t place, int64_t first,
                        int64_t last) {
    const struct kn_compensation *op = t->op;
    int64_t n = op->n, at = (t->row + r) * t->groups + group_at(t, place);
    struct kn_step_size step = {op->scale[at], op->zero[at]};
    const double *u = op->u + place * n;
    double *w = t->w + r * n;
    int code = kn_code_of(&op->grid, step, w[place]);
    double error = (w[place] - kn_value_of(step, code)) / u[place];
    op->code[(t->row + r) * n + op->order[place]] = (uint8_t)code;
    t->error[r * BLOCK + place - first] = error;
    for (int64_t j = place + 1; j < last; j++)
        w[j] -= error * u[j];
}

static void round_block(const struct tile *t, int64_t first, int64_t last) {
    int64_t n = t->op->n;
    bool found_on_the_way = t->op->input_order == KN_ORDER_FILE;
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t i = first; i < last; i++) {
            if (found_on_the_way && i % t->size == 0)
                set_step(t, r, i / t->size, t->w + r * n + i, cpu_min(t->size, n - i));
            round_input(t, r, i, first, last);
        }
}

// Brings the inputs behind a block up to date.
static void make_up(const struct tile *t, int64_t first, int64_t last) {
    int64_t n = t->op->n;
    if (last < n)
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)t->rows, (int)(n - last),
                    (int)(last - first), -1, t->error, BLOCK, t->op->u + first * n + last, (int)n,
                    1, t->w + last, (int)n);
}

static void round_tile(const struct tile *t) {
    const struct kn_compensation *op = t->op;
    int64_t n = op->n;
    for (int64_t r = 0; r < t->rows; r++) {
        const float *w = op->w + (t->row + r) * n;
        for (int64_t i = 0; i < n; i++)
            t->w[r * n + i] = (double)w[op->order[i]];
        if (op->input_order != KN_ORDER_FILE)
            set_all_steps(t, r, w);
    }
    for (int64_t first = 0, last; first < n; first = last) {
        last = kn_compensation_end(first, n, t->size);
        round_block(t, first, last);
        make_up(t, first, last);
    }
}

enum kn_status cpu_compensation(struct kn_backend *self, const struct kn_compensation *op) {
    struct cpu_scratch scratch;
    KN_TRY(kn_check_compensation(op));
    if (op->n > INT_MAX)
        return KN_EUNSUPPORTED;
    int64_t n = op->n, size = kn_grid_group(&op->grid, n);
    int64_t tiles = cpu_divide_up(op->rows, ROWS);
    KN_TRY(
        cpu_reserve(self, &scratch, 0, (size_t)(ROWS * n + ROWS * BLOCK + size) * sizeof(double)));
#pragma omp parallel for num_threads(self->threads) schedule(dynamic)
    for (int64_t tile = 0; tile < tiles; tile++) {
        struct tile t = {.op = op, .size = size, .groups = kn_grid_groups(&op->grid, n)};
        t.row = tile * ROWS;
        t.rows = cpu_min(ROWS, op->rows - t.row);
        t.w = cpu_thread_scratch(&scratch);
        t.error = t.w + ROWS * n;
        t.group = t.error + ROWS * BLOCK;
        round_tile(&t);
    }
    return KN_OK;
}

// ---- the squares of outputs --------------------------------------------------------------------

// e h e^T of a tile of rows; h's other half is its mirror.
static void square_tile(const struct kn_squared_outputs *op, int64_t first, int64_t rows,
                        double *e) {
    int64_t n = op->n;
    double *product = e + ROWS * n;
    for (int64_t i = 0; i < rows * n; i++)
        e[i] = (double)op->x[first * n + i] - (op->less ? (double)op->less[first * n + i] : 0);
    cblas_dsymm(CblasRowMajor, CblasRight, CblasLower, (int)rows, (int)n, 1, op->h, (int)n, e,
                (int)n, 0, product, (int)n);
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t i = r * n; i < (r + 1) * n; i++)
            sum += e[i] * product[i];
        op->y[first + r] = sum;
    }
}

enum kn_status cpu_squared_outputs(struct kn_backend *self, const struct kn_squared_outputs *op) {
    struct cpu_scratch scratch;
    KN_TRY(kn_check_squared_outputs(op));
    if (op->n > INT_MAX)
        return KN_EUNSUPPORTED;
    KN_TRY(cpu_reserve(self, &scratch, 0, (size_t)(2 * ROWS * op->n) * sizeof(double)));
#pragma omp parallel for num_threads(self->threads) schedule(dynamic)
    for (int64_t first = 0; first < op->rows; first += ROWS)
        square_tile(op, first, cpu_min(ROWS, op->rows - first), cpu_thread_scratch(&scratch));
    return KN_OK;
}
