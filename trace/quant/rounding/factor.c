// SPDX-License-Identifier: Apache-2.0
#include "factor.h"

#include <cblas.h>
#include <math.h>

enum { BLOCK = 96 };

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

// h = v v^T, from the last column to the first: that of a block is done when those right of it have
// been taken out of it.
static bool factor_diagonal(double *v, int64_t n, int64_t pitch) {
    for (int64_t j = n - 1; j >= 0; j--) {
        double pivot = v[j * pitch + j];
        for (int64_t k = j + 1; k < n; k++)
            pivot -= v[j * pitch + k] * v[j * pitch + k];
        if (!(pivot > 0) || !isfinite(pivot))
            return false;
        v[j * pitch + j] = sqrt(pivot);
        for (int64_t i = 0; i < j; i++) {
            double sum = v[i * pitch + j];
            for (int64_t k = j + 1; k < n; k++)
                sum -= v[i * pitch + k] * v[j * pitch + k];
            v[i * pitch + j] = sum / v[j * pitch + j];
        }
    }
    return true;
}

// Columns [first, first + size) of the factor are known down to their diagonal block: takes them
// out of the blocks left of them, above the diagonal.
static void take_out(double *h, int64_t n, int64_t first, int64_t size, int threads) {
    int64_t blocks = (first + BLOCK - 1) / BLOCK;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t tile = 0; tile < blocks * blocks; tile++) {
        int64_t row = tile / blocks * BLOCK, col = tile % blocks * BLOCK;
        if (row > col)
            continue;
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)least(BLOCK, first - row),
                    (int)least(BLOCK, first - col), (int)size, -1, h + row * n + first, (int)n,
                    h + col * n + first, (int)n, 1, h + row * n + col, (int)n);
    }
}

static bool factor(double *h, int64_t n, int threads) {
    int64_t blocks = (n + BLOCK - 1) / BLOCK;
    for (int64_t block = blocks - 1; block >= 0; block--) {
        int64_t first = block * BLOCK, size = least(BLOCK, n - first);
        double *diagonal = h + first * n + first;
        if (!factor_diagonal(diagonal, size, n))
            return false;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
        for (int64_t above = 0; above < block; above++)
            cblas_dtrsm(CblasRowMajor, CblasRight, CblasUpper, CblasTrans, CblasNonUnit, BLOCK,
                        (int)size, 1, diagonal, (int)n, h + above * BLOCK * n + first, (int)n);
        take_out(h, n, first, size, threads);
    }
    return true;
}

// u = v^-1, a block of columns at a time.
static void invert(double *u, const double *v, int64_t n, int threads) {
    int64_t blocks = (n + BLOCK - 1) / BLOCK;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t block = blocks - 1; block >= 0; block--) {
        int64_t first = block * BLOCK, size = least(BLOCK, n - first);
        for (int64_t row = 0; row < n; row++)
            for (int64_t col = first; col < first + size; col++)
                u[row * n + col] = row == col;
        cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit,
                    (int)(first + size), (int)size, 1, v, (int)n, u + first, (int)n);
    }
}

bool tr_inverse_factor(double *u, double *h, int64_t n, int threads) {
    if (!factor(h, n, threads))
        return false;
    invert(u, h, n, threads);
    return true;
}
