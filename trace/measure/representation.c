// SPDX-License-Identifier: Apache-2.0
// Token by token cosines and centred kernel alignment. Kernel matrices over tokens exist only as
// one block at a time, of all representations, and only their lower triangle is computed. Threads
// share out tokens, representations and pieces of a block; sums of pieces are added in order.
//
// Centred representations have 1^T K = 0. So for K~, which is K without its diagonal,
// 1^T K~ = -diag(K), and neither estimate needs more than tr(K~ L~) and the diagonals.
#include "representation.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/measure.h"

enum {
    BLOCK = 512,  // rows and columns of a kernel matrix
    PIECES = 128, // of a block; and tokens at a time
    PIECE_ROWS = BLOCK / PIECES,
};

struct comparison {
    struct kn_backend *kn;                 // the host's, whatever the run computes on
    enum kn_status failed;                 // what some product of vectors said, KN_OK: none did
    float *rows;                           // [count, tokens, channels]
    int64_t count, tokens, used, channels; // the first `used` tokens of each are compared
    int64_t row, height, col, width;       // the present block
    int64_t side;                          // of the largest block
    float *blocks;                         // [count, side * side] of K~, its upper half zero
    double *diagonals;                     // [count, tokens] of K
    double *pieces;                        // [PIECES, count, count] sums of one piece, j <= i
    double *sums;                          // [count, count] of all of them
    double *means;                         // [threads, channels]
    int threads;
};

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

double tr_align_bytes(int64_t count, int64_t tokens, int64_t channels, int threads) {
    double n = (double)tokens, b = (double)count, side = (double)least(tokens, BLOCK);
    return 8 * (b * n + (PIECES + 1) * b * b + threads * (double)channels) + 4 * b * side * side;
}

static enum tr_status status_of(enum kn_status status, struct tr_err *err) {
    if (status == KN_OK)
        return TR_OK;
    return tr_fail(err, status == KN_ENOMEM ? TR_ENOMEM : TR_ENVIRONMENT,
                   "comparing boundaries failed: %s", kn_status_text(status));
}

static enum tr_status allocate(struct comparison *c, struct tr_err *err) {
    static const char what[] = "the comparison of boundaries";
    int64_t pairs = c->count * c->count;
    TR_TRY(status_of(kn_open(&c->kn, KN_CPU, &(struct kn_options){.threads = c->threads}), err));
    TR_TRY(TR_NEW(&c->blocks, c->count * c->side * c->side, what, err));
    TR_TRY(TR_NEW(&c->diagonals, c->count * c->tokens, what, err));
    TR_TRY(TR_NEW(&c->pieces, PIECES * pairs, what, err));
    TR_TRY(TR_NEW(&c->sums, pairs, what, err));
    return TR_NEW(&c->means, c->threads * c->channels, what, err);
}

static void release(struct comparison *c) {
    if (c->kn)
        c->kn->ops->close(c->kn);
    free(c->blocks);
    free(c->diagonals);
    free(c->pieces);
    free(c->sums);
    free(c->means);
}

// Calls a step for 0 ... count - 1; each writes what is its own.
typedef void (*step)(struct comparison *c, int64_t index);
static void for_all(struct comparison *c, int64_t count, step do_one) {
#pragma omp parallel for schedule(dynamic) num_threads(c->threads)
    for (int64_t i = 0; i < count; i++)
        do_one(c, i);
}

static float *row(const struct comparison *c, int64_t index, int64_t token) {
    return c->rows + (index * c->tokens + token) * c->channels;
}

// Any thread may call this.
static void look(struct comparison *c, enum kn_status status) {
    if (status != KN_OK)
#pragma omp atomic write
        c->failed = status;
}

static double *piece(const struct comparison *c, int64_t index) {
    return c->pieces + index * c->count * c->count;
}

static void add_piece(struct comparison *c, int64_t index) {
    const double *from = piece(c, index);
    for (int64_t k = 0; k < c->count * c->count; k++)
        c->sums[k] += from[k];
}

static void put(const struct comparison *c, float *values, int64_t i, int64_t j, double value) {
    values[i * c->count + j] = values[j * c->count + i] = (float)value;
}

// ---- cosines -----------------------------------------------------------------------------------

static bool has_directions(const struct comparison *c, const double *products) {
    for (int64_t i = 0; i < c->count; i++) {
        double square = products[i * c->count + i];
        if (!(isfinite(square) && square > 0))
            return false;
    }
    return true;
}

// The cosines of the index-th of the tokens behind c->row; NaN in the corner when it has none.
static void compare_token(struct comparison *c, int64_t index) {
    double *p = piece(c, index);
    int64_t n = c->count;
    struct kn_inner_products op = {.y = p,
                                   .x = row(c, 0, c->row + index),
                                   .count = n,
                                   .pitch = c->tokens * c->channels,
                                   .length = c->channels};
    look(c, c->kn->ops->inner_products(c->kn, &op));
    bool complete = has_directions(c, p);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            p[i * n + j] /= sqrt(p[i * n + i] * p[j * n + j]);
    for (int64_t i = 0; i < n; i++)
        p[i * n + i] = complete ? 1 : NAN;
}

// Moves a token's rows behind those that are used.
static void use(struct comparison *c, int64_t token) {
    for (int64_t i = 0; c->used < token && i < c->count; i++)
        memcpy(row(c, i, c->used), row(c, i, token), (size_t)c->channels * sizeof *c->rows);
    c->used++;
}

// Adds up cosines, and leaves out the tokens that have none.
static void compare_directions(struct comparison *c, float *similarity) {
    for (c->row = 0; c->row < c->tokens; c->row += PIECES) {
        int64_t tokens = least(c->tokens - c->row, PIECES);
        for_all(c, tokens, compare_token);
        for (int64_t i = 0; i < tokens; i++) {
            if (isnan(*piece(c, i)))
                continue;
            add_piece(c, i);
            use(c, c->row + i);
        }
    }
    for (int64_t i = 0; i < c->count; i++)
        for (int64_t j = 0; j <= i; j++)
            put(c, similarity, i, j, c->sums[i * c->count + j] / (double)c->used);
}

// ---- kernels -----------------------------------------------------------------------------------

// Takes each channel's mean over the tokens from it.
static void centre(struct comparison *c, int64_t index) {
    double *mean = c->means + omp_get_thread_num() * c->channels;
    memset(mean, 0, (size_t)c->channels * sizeof *mean);
    for (int64_t t = 0; t < c->used; t++) {
        const float *x = row(c, index, t);
        for (int64_t k = 0; k < c->channels; k++)
            mean[k] += (double)x[k];
    }
    for (int64_t k = 0; k < c->channels; k++)
        mean[k] /= (double)c->used;
    for (int64_t t = 0; t < c->used; t++) {
        float *x = row(c, index, t);
        for (int64_t k = 0; k < c->channels; k++)
            x[k] = (float)((double)x[k] - mean[k]);
    }
}

// Moves the diagonal to where diagonals are kept and leaves zeros there and right of it.
static void take_diagonal(struct comparison *c, int64_t index, float *block) {
    double *diagonal = c->diagonals + index * c->tokens + c->row;
    for (int64_t r = 0; r < c->height; r++) {
        float *k = block + r * c->width;
        diagonal[r] = (double)k[r];
        memset(k + r, 0, (size_t)(c->width - r) * sizeof *k);
    }
}

static void fill_block(struct comparison *c, int64_t index) {
    float *block = c->blocks + index * c->side * c->side;
    struct kn_gram op = {.y = block,
                         .x = row(c, index, 0),
                         .cols = c->channels,
                         .row = c->row,
                         .rows = c->height,
                         .col = c->col,
                         .width = c->width};
    look(c, c->kn->ops->gram(c->kn, &op));
    if (c->row == c->col)
        take_diagonal(c, index, block);
}

static void compare_piece(struct comparison *c, int64_t index) {
    int64_t first = index * PIECE_ROWS, rows = least(c->height - first, PIECE_ROWS);
    struct kn_inner_products op = {.y = piece(c, index),
                                   .x = c->blocks + first * c->width,
                                   .count = c->count,
                                   .pitch = c->side * c->side,
                                   .length = rows * c->width};
    look(c, c->kn->ops->inner_products(c->kn, &op));
}

static void compare_block(struct comparison *c) {
    c->height = least(c->used - c->row, c->side);
    c->width = least(c->used - c->col, c->side);
    int64_t pieces = (c->height + PIECE_ROWS - 1) / PIECE_ROWS;
    for_all(c, c->count, fill_block);
    for_all(c, pieces, compare_piece);
    for (int64_t i = 0; i < pieces; i++)
        add_piece(c, i);
}

// sums = half of tr(K~ L~).
static void compare_kernels(struct comparison *c) {
    memset(c->sums, 0, (size_t)(c->count * c->count) * sizeof *c->sums);
    for_all(c, c->count, centre);
    for (c->row = 0; c->row < c->used; c->row += c->side)
        for (c->col = 0; c->col <= c->row; c->col += c->side)
            compare_block(c);
}

static double dot(const double *x, const double *y, int64_t count) {
    double total = 0;
    for (int64_t i = 0; i < count; i++)
        total += x[i] * y[i];
    return total;
}

static double sum(const double *x, int64_t count) {
    double total = 0;
    for (int64_t i = 0; i < count; i++)
        total += x[i];
    return total;
}

// <K_i, K_j>, j <= i: the lower triangle twice, and the diagonal.
static double plain(const struct comparison *c, int64_t i, int64_t j) {
    return 2 * c->sums[i * c->count + j] +
           dot(c->diagonals + i * c->tokens, c->diagonals + j * c->tokens, c->used);
}

// n (n - 3) times the unbiased estimate, j <= i.
static double debiased(const struct comparison *c, int64_t i, int64_t j) {
    const double *k = c->diagonals + i * c->tokens, *l = c->diagonals + j * c->tokens;
    double n = (double)c->used;
    return 2 * c->sums[i * c->count + j] + sum(k, c->used) * sum(l, c->used) / ((n - 1) * (n - 2)) -
           2 / (n - 2) * dot(k, l, c->used);
}

static void ratios(const struct comparison *c, float *values,
                   double (*product)(const struct comparison *c, int64_t i, int64_t j)) {
    for (int64_t i = 0; i < c->count; i++)
        for (int64_t j = 0; j <= i; j++)
            put(c, values, i, j, product(c, i, j) / sqrt(product(c, i, i) * product(c, j, j)));
}

static double nothing(const struct comparison *c, int64_t i, int64_t j) {
    (void)c;
    (void)i;
    (void)j;
    return NAN;
}

enum tr_status tr_align(const struct tr_alignment *alignment, int threads, float *rows,
                        int64_t count, int64_t tokens, int64_t channels, struct tr_err *err) {
    enum { LEAST = 4 }; // tokens of an unbiased estimate
    struct comparison c = {.rows = rows,
                           .count = count,
                           .tokens = tokens,
                           .channels = channels,
                           .side = least(tokens, BLOCK),
                           .threads = threads};
    enum tr_status status = allocate(&c, err);
    if (status == TR_OK) {
        compare_directions(&c, alignment->similarity);
        compare_kernels(&c);
        ratios(&c, alignment->cka, plain);
        ratios(&c, alignment->cka_debiased, c.used < LEAST ? nothing : debiased);
        status = status_of(c.failed, err);
    }
    release(&c);
    return status;
}
