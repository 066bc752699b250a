// SPDX-License-Identifier: Apache-2.0
#ifndef KN_FEW_BITS_H
#define KN_FEW_BITS_H

#include "kernels/grid.h"

// The ops by which weights come into few bits, under the conventions of kernels/ops.h. Second
// moments h [n, n] are f64, as kn_second_moment leaves them: the diagonal and what is left of it
// count.

// y[i] = h[i, i]; y [n].
struct kn_diagonal {
    double *y;
    const double *h;
    int64_t n;
};

// The upper triangular u [n, n] with (h' + added I)^-1 = u^T u, zeros below its diagonal. h' is h
// with its rows and columns in an order, h'[i, j] = h[order[i], order[j]], where an input that was
// always 0 (a diagonal of 0 or less) has a diagonal of 1. With its rows and columns backwards h'
// has a Cholesky factor that is, backwards again, an upper triangular v with h' = v v^T; then u =
// v^-1. So one factorisation and the inverse of one triangle are enough.
// *factored is false where that is not positive definite, in the rounding of doubles: then u is
// worth nothing. The call waits.
struct kn_inverse_factor {
    double *u, *scratch; // [n, n] each; what scratch then holds is undefined
    const double *h;
    const int32_t *order; // [n], a permutation
    double added;
    int64_t n;
    bool *factored; // host memory
};

enum kn_input_order {
    KN_ORDER_FILE, // as they are; a group's step is found when its first input comes
    // In the order of `order`; steps are found before, of the weight as it is.
    KN_ORDER_STATIC, // groups are of the file's order
    KN_ORDER_GROUPS  // groups are formed along the new order
};

// GPTQ (Frantar et al. 2022, arXiv 2210.17323, algorithm 1): a weight w [rows, n] is rounded input
// by input, and what that does to the output is made up for by the inputs that are still to come.
// With u as above, for each input i in order:
//   v = value of w[o][i];   e = (w[o][i] - v) / u[i][i]
//   w[o][j] -= e u[i][j]    for the inputs j behind i
// Codes are at their inputs' places in the file, steps by group. In f64 throughout.
struct kn_compensation {
    uint8_t *code; // [rows, n]
    float *scale;  // [rows, kn_grid_groups(grid, n)]
    uint8_t *zero; // the same
    const float *w;
    int64_t rows, n;
    const double *u;      // [n, n]
    const int32_t *order; // [n], a permutation; for KN_ORDER_FILE 0, 1, 2, ...
    struct kn_grid grid;
    enum kn_input_order input_order;
};

// The inputs [first, end) of a block of a compensation, behind which the others are brought up to
// date at once. It ends where a group does, if one does: all of a group has to be up to date when
// it begins.
enum { KN_COMPENSATION_BLOCK = 128 };
static inline int64_t kn_compensation_end(int64_t first, int64_t n, int64_t group_size) {
    int64_t last = n - first < KN_COMPENSATION_BLOCK ? n : first + KN_COMPENSATION_BLOCK;
    int64_t whole = last - last % group_size;
    return last < n && whole > first ? whole : last;
}

// y[r] = e h e^T with e = x[r] - less[r], or x[r] where less is NULL; x, less [rows, n], y [rows].
struct kn_squared_outputs {
    double *y;
    const float *x, *less;
    const double *h;
    int64_t rows, n;
};

#endif
