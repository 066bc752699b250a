// SPDX-License-Identifier: Apache-2.0
#include "rounding/gptq.h"

#include <cblas.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "factor.h"

// Rows that a thread has at a time, and inputs after which the rest of a row is brought up to date.
enum { ROWS = 32, BLOCK = 128 };
static const double damping_step = 0.01, most_damping = 1;

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

// ---- the factor --------------------------------------------------------------------------------

struct ranked {
    double weight;
    int32_t input;
};

static int by_descending_weight(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return (x->input > y->input) - (x->input < y->input);
}

static enum tr_status find_order(struct tr_gptq_factor *f, const double *h, bool sorted,
                                 struct tr_err *err) {
    struct ranked *ranked;
    TR_TRY(TR_NEW(&f->order, f->in, "the order of inputs", err));
    TR_TRY(TR_NEW(&ranked, f->in, "the order of inputs", err));
    for (int64_t i = 0; i < f->in; i++)
        ranked[i] = (struct ranked){h[i * f->in + i], (int32_t)i};
    if (sorted)
        qsort(ranked, (size_t)f->in, sizeof *ranked, by_descending_weight);
    for (int64_t i = 0; i < f->in; i++)
        f->order[i] = ranked[i].input;
    free(ranked);
    return TR_OK;
}

// The mean of the diagonal, where an input that was always 0 counts as 1.
static double mean_weight(const double *h, int64_t in) {
    double sum = 0;
    for (int64_t i = 0; i < in; i++)
        sum += h[i * in + i] > 0 ? h[i * in + i] : 1;
    return sum / (double)in;
}

// What is right of the diagonal, in the inputs' order and damped.
static void arrange(double *to, const struct tr_gptq_factor *f, const double *h, double added,
                    int threads) {
    int64_t in = f->in;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < in; i++) {
        int64_t row = f->order[i];
        for (int64_t j = i; j < in; j++) {
            int64_t col = f->order[j];
            to[i * in + j] = h[row > col ? row * in + col : col * in + row];
        }
        to[i * in + i] = (to[i * in + i] > 0 ? to[i * in + i] : 1) + added;
    }
}

static enum tr_status find_factor(struct tr_gptq_factor *f, const double *h, double damping,
                                  int threads, struct tr_err *err) {
    double *damped, mean = mean_weight(h, f->in);
    TR_TRY(TR_NEW(&damped, f->in * f->in, "a damped second moment", err));
    for (f->damping = damping; !f->factored && f->damping <= most_damping;) {
        arrange(damped, f, h, f->damping * mean, threads);
        f->factored = tr_inverse_factor(f->u, damped, f->in, threads);
        f->damping += f->factored ? 0 : damping_step;
    }
    free(damped);
    return TR_OK;
}

static bool is_empty(const double *h, int64_t in) {
    for (int64_t i = 0; i < in; i++)
        if (h[i * in + i] > 0)
            return false;
    return true;
}

enum tr_status tr_gptq_factor_new(struct tr_gptq_factor *factor,
                                  const struct tr_gptq_options *options, const double *h,
                                  int64_t in, int threads, struct tr_err *err) {
    struct tr_gptq_factor made = {.in = in};
    if (in > INT_MAX)
        return tr_fail(err, TR_EUNSUPPORTED, "a weight of %lld inputs is not taken", (long long)in);
    enum tr_status status = find_order(&made, h, options->order != TR_ORDER_FILE, err);
    if (status == TR_OK && !is_empty(h, in)) {
        status = TR_NEW(&made.u, in * in, "the factor of a second moment", err);
        if (status == TR_OK)
            status = find_factor(&made, h, options->damping, threads, err);
    }
    if (status == TR_OK)
        *factor = made;
    else
        tr_gptq_factor_free(&made);
    return status;
}

void tr_gptq_factor_free(struct tr_gptq_factor *factor) {
    free(factor->u);
    free(factor->order);
    *factor = (struct tr_gptq_factor){0};
}

// ---- the weights -------------------------------------------------------------------------------

struct tile {
    struct tr_codes *codes;
    const struct tr_grid *grid;
    const struct tr_gptq_factor *factor;
    enum tr_input_order order;
    int64_t row, rows;
    double *w;     // [ROWS, in], the inputs in their order
    double *error; // [ROWS, BLOCK]
    double *group; // [in]: a group's values
};

static int64_t group_at(const struct tile *t, int64_t place) {
    int64_t input = t->order == TR_ORDER_GROUPS ? place : t->factor->order[place];
    return input / t->codes->group_size;
}

static void set_step(const struct tile *t, int64_t r, int64_t group, const double *w,
                     int64_t count) {
    struct tr_step_size step = tr_step_size_of(t->grid, w, count);
    int64_t at = (t->row + r) * t->codes->groups + group;
    t->codes->scale[at] = step.scale;
    t->codes->zero[at] = (uint8_t)step.zero;
}

// The steps of all groups of a row as it is in the file, before anything is made up for.
static void set_all_steps(const struct tile *t, int64_t r, const float *w) {
    int64_t size = t->codes->group_size;
    bool along_order = t->order == TR_ORDER_GROUPS;
    for (int64_t first = 0; first < t->codes->in; first += size) {
        int64_t count = least(size, t->codes->in - first);
        for (int64_t i = first; i < first + count; i++)
            t->group[i - first] = (double)w[along_order ? t->factor->order[i] : i];
        set_step(t, r, first / size, t->group, count);
    }
}

// Rounds input `place` of a row and makes up for it up to the block's end.
static void round_input(const struct tile *t, int64_t r, int64_t place, int64_t first,
                        int64_t last) {
    int64_t in = t->codes->in, at = (t->row + r) * t->codes->groups + group_at(t, place);
    struct tr_step_size step = {t->codes->scale[at], t->codes->zero[at]};
    const double *u = t->factor->u + place * in;
    double *w = t->w + r * in;
    int code = tr_code_of(t->grid, step, w[place]);
    double error = (w[place] - tr_value_of(step, code)) / u[place];
    t->codes->code[(t->row + r) * in + t->factor->order[place]] = (uint8_t)code;
    t->error[r * BLOCK + place - first] = error;
    for (int64_t j = place + 1; j < last; j++)
        w[j] -= error * u[j];
}

static void round_block(const struct tile *t, int64_t first, int64_t last) {
    int64_t in = t->codes->in, size = t->codes->group_size;
    bool found_on_the_way = t->order == TR_ORDER_FILE;
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t i = first; i < last; i++) {
            if (found_on_the_way && i % size == 0)
                set_step(t, r, i / size, t->w + r * in + i, least(size, in - i));
            round_input(t, r, i, first, last);
        }
}

// Brings the inputs behind a block up to date.
static void make_up(const struct tile *t, int64_t first, int64_t last) {
    int64_t in = t->codes->in;
    if (last < in)
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)t->rows, (int)(in - last),
                    (int)(last - first), -1, t->error, BLOCK, t->factor->u + first * in + last,
                    (int)in, 1, t->w + last, (int)in);
}

// A block ends where a group does, if one does: all of a group has to be up to date when it begins.
static int64_t block_end(const struct tile *t, int64_t first) {
    int64_t last = least(first + BLOCK, t->codes->in);
    int64_t whole = last - last % t->codes->group_size;
    return last < t->codes->in && whole > first ? whole : last;
}

static void round_tile(const struct tile *t, const float *w) {
    int64_t in = t->codes->in;
    for (int64_t r = 0; r < t->rows; r++) {
        for (int64_t i = 0; i < in; i++)
            t->w[r * in + i] = (double)w[(t->row + r) * in + t->factor->order[i]];
        if (t->order != TR_ORDER_FILE)
            set_all_steps(t, r, w + (t->row + r) * in);
    }
    for (int64_t first = 0, last; first < in; first = last) {
        last = block_end(t, first);
        round_block(t, first, last);
        make_up(t, first, last);
    }
}

// A group's own inputs, where groups go along the new order.
static void note_groups(struct tr_codes *codes, const int32_t *order) {
    for (int64_t i = 0; i < codes->in; i++)
        codes->group_of[order[i]] = (int32_t)(i / codes->group_size);
}

static enum tr_status round_tiles(struct tile tile, const float *w, int threads,
                                  struct tr_err *err) {
    int64_t in = tile.codes->in, each = ROWS * in + ROWS * BLOCK + in;
    double *scratch;
    TR_TRY(TR_NEW(&scratch, threads * each, "rows of weights", err));
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int i = 0; i < threads; i++) {
        struct tile t = tile;
        t.w = scratch + i * each;
        t.error = t.w + ROWS * in;
        t.group = t.error + ROWS * BLOCK;
        for (t.row = i * ROWS; t.row < t.codes->out; t.row += threads * ROWS) {
            t.rows = least(ROWS, t.codes->out - t.row);
            round_tile(&t, w);
        }
    }
    free(scratch);
    return TR_OK;
}

enum tr_status tr_gptq(struct tr_codes *codes, const struct tr_grid *grid,
                       const struct tr_gptq_options *options, const struct tr_gptq_factor *factor,
                       const float *w, int64_t out, int threads, const char *name,
                       struct tr_err *err) {
    bool ordered = options->order == TR_ORDER_GROUPS;
    if (!factor->factored)
        return tr_round_to_nearest(codes, grid, w, out, factor->in, threads, name, err);
    TR_TRY(tr_weights_finite(w, out * factor->in, name, err));
    TR_TRY(tr_codes_begin(codes, grid, out, factor->in, ordered, name, err));
    if (ordered)
        note_groups(codes, factor->order);
    struct tile tile = {.codes = codes, .grid = grid, .factor = factor, .order = options->order};
    enum tr_status status = round_tiles(tile, w, threads, err);
    if (status == TR_OK)
        status = tr_scales_finite(codes, name, err);
    if (status != TR_OK)
        tr_codes_free(codes);
    return status;
}

// ---- the error of the output -------------------------------------------------------------------

// The sum over rows of r h r^T, a tile of rows at a time; h's other half is its mirror.
static double squared_output(const double *rows, int64_t count, int64_t in, const double *h,
                             double *scratch) {
    double sum = 0;
    cblas_dsymm(CblasRowMajor, CblasRight, CblasLower, (int)count, (int)in, 1, h, (int)in, rows,
                (int)in, 0, scratch, (int)in);
    for (int64_t i = 0; i < count * in; i++)
        sum += rows[i] * scratch[i];
    return sum;
}

enum tr_status tr_output_error(double *error, const float *values, const float *w, int64_t out,
                               int64_t in, const double *h, int threads, struct tr_err *err) {
    int64_t tiles = (out + ROWS - 1) / ROWS, each = 2 * ROWS * in;
    double *scratch, *sums, wrong = 0, all = 0;
    TR_TRY(TR_NEW(&scratch, threads * each + 2 * tiles, "rows of weights", err));
    sums = scratch + threads * each;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++)
        for (int64_t tile = t; tile < tiles; tile += threads) {
            int64_t first = tile * ROWS * in, rows = least(ROWS, out - tile * ROWS);
            double *x = scratch + t * each;
            for (int64_t i = 0; i < rows * in; i++)
                x[i] = (double)values[first + i] - (double)w[first + i];
            sums[2 * tile] = squared_output(x, rows, in, h, x + ROWS * in);
            for (int64_t i = 0; i < rows * in; i++)
                x[i] = (double)w[first + i];
            sums[2 * tile + 1] = squared_output(x, rows, in, h, x + ROWS * in);
        }
    for (int64_t tile = 0; tile < tiles; tile++) {
        wrong += sums[2 * tile];
        all += sums[2 * tile + 1];
    }
    free(scratch);
    *error = all > 0 ? fmax(wrong, 0) / all : 0;
    return TR_OK;
}
