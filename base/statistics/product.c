// SPDX-License-Identifier: Apache-2.0
// Six rows by eight columns of the result stay in registers of four doubles: twelve sums in flight
// hide the latency of two fused multiply-adds a cycle, and both operands are read in a row.
#include "product.h"

#include <string.h>

#include "clones.h"

typedef double vector __attribute__((vector_size(32)));
enum { LANES = 4, VECTORS = AN_PANEL_COLS / LANES };

int64_t an_packed_size(int64_t lines, int64_t depth, int64_t panel) {
    return (lines + panel - 1) / panel * panel * depth;
}

void an_pack(double *packed, const double *source, int64_t lines, int64_t depth, int64_t panel) {
    for (int64_t first = 0; first < lines; first += panel, packed += panel * depth)
        for (int64_t line = 0; line < panel; line++)
            for (int64_t k = 0; k < depth; k++)
                packed[k * panel + line] =
                    first + line < lines ? source[(first + line) * depth + k] : 0.0;
}

AN_CLONES
static void multiply_tile(double *tile, const double *restrict a, const double *restrict b,
                          int64_t depth) {
    vector sum[AN_PANEL_ROWS][VECTORS] = {0};
    for (int64_t k = 0; k < depth; k++, a += AN_PANEL_ROWS, b += AN_PANEL_COLS) {
        vector columns[VECTORS];
        memcpy(columns, b, sizeof columns);
#pragma GCC unroll 6
        for (int row = 0; row < AN_PANEL_ROWS; row++)
#pragma GCC unroll 2
            for (int v = 0; v < VECTORS; v++)
                sum[row][v] += a[row] * columns[v];
    }
    memcpy(tile, sum, sizeof sum);
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

void an_product(double *y, int64_t stride, const double *packed_a, const double *packed_b,
                int64_t rows, int64_t cols, int64_t depth) {
    double tile[AN_PANEL_ROWS * AN_PANEL_COLS];
    for (int64_t col = 0; col < cols; col += AN_PANEL_COLS)
        for (int64_t row = 0; row < rows; row += AN_PANEL_ROWS) {
            multiply_tile(tile, packed_a + row * depth, packed_b + col * depth, depth);
            size_t width = (size_t)least(AN_PANEL_COLS, cols - col) * sizeof *y;
            for (int64_t r = 0; r < least(AN_PANEL_ROWS, rows - row); r++)
                memcpy(y + (row + r) * stride + col, tile + r * AN_PANEL_COLS, width);
        }
}
