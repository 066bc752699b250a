// SPDX-License-Identifier: Apache-2.0
#ifndef KN_GRAM_H
#define KN_GRAM_H

#include <stdint.h>

// Inner products within a set of vectors, in the host's memory whatever backend is open. Pure
// functions of one thread each, for any number of callers; the bits depend on shapes alone.

// The block of x x^T, x f32 [..., cols], with rows [row, row + rows) and columns
// [col, col + width): y[rows, width], accumulated in f32. Of a block on the diagonal (row == col,
// rows == width) half the work is done: what lies right of the diagonal stays as it was. Sizes fit
// an int.
void kn_gram_block(float *y, const float *x, int64_t cols, int64_t row, int64_t rows, int64_t col,
                   int64_t width);

// y[i * count + j] = x_i . x_j for j <= i, summed in f64; x_i has `length` f32 values, the first
// at x + i * pitch. The other half of y stays as it was.
void kn_inner_products(double *y, const float *x, int64_t count, int64_t pitch, int64_t length);

#endif
