// SPDX-License-Identifier: Apache-2.0
#ifndef AN_PRODUCT_H
#define AN_PRODUCT_H

#include <stdint.h>

// The product that the bootstrap spends its time in: y[rows, cols] = a * b, sums over `depth` in
// order, in f64. The operands are packed in panels so that the inner loop reads both in a row:
// a as [ceil(rows / AN_PANEL_ROWS)][depth][AN_PANEL_ROWS], b likewise with AN_PANEL_COLS, zeros
// where a panel is not full.
enum { AN_PANEL_ROWS = 6, AN_PANEL_COLS = 8 };

// Elements of a packed operand of `lines` lines (rows of a, columns of b).
int64_t an_packed_size(int64_t lines, int64_t depth, int64_t panel);

// source[lines, depth] -> packed; `panel` is AN_PANEL_ROWS for a, AN_PANEL_COLS for b.
void an_pack(double *packed, const double *source, int64_t lines, int64_t depth, int64_t panel);

// y[rows, cols], its rows `stride` apart.
void an_product(double *y, int64_t stride, const double *packed_a, const double *packed_b,
                int64_t rows, int64_t cols, int64_t depth);

#endif
