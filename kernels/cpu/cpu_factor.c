// SPDX-License-Identifier: Apache-2.0
// The inverse factor of a second moment: blocks of fixed size, each computed by one thread, so the
// bits do not depend on the number of threads.
#include <limits.h>
#include <math.h>

#include "check.h"
#include "cpu.h"

enum { BLOCK = 96 };

// What is right of the diagonal, in the inputs' order and damped.
static void arrange(const struct kn_inverse_factor *op, int threads) {
    int64_t n = op->n;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < n; i++) {
        double *to = op->scratch + i * n;
        int64_t row = op->order[i];
        for (int64_t j = i; j < n; j++) {
            int64_t col = op->order[j];
            to[j] = op->h[row > col ? row * n + col : col * n + row];
        }
        to[i] = (to[i] > 0 ? to[i] : 1) + op->added;
    }
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
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)cpu_min(BLOCK, first - row),
                    (int)cpu_min(BLOCK, first - col), (int)size, -1, h + row * n + first, (int)n,
                    h + col * n + first, (int)n, 1, h + row * n + col, (int)n);
    }
}

static bool factor(double *h, int64_t n, int threads) {
    int64_t blocks = (n + BLOCK - 1) / BLOCK;
    for (int64_t block = blocks - 1; block >= 0; block--) {
        int64_t first = block * BLOCK, size = cpu_min(BLOCK, n - first);
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
        int64_t first = block * BLOCK, size = cpu_min(BLOCK, n - first);
        for (int64_t row = 0; row < n; row++)
            for (int64_t col = first; col < first + size; col++)
                u[row * n + col] = row == col;
        cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit,
                    (int)(first + size), (int)size, 1, v, (int)n, u + first, (int)n);
    }
}

enum kn_status cpu_inverse_factor(struct kn_backend *self, const struct kn_inverse_factor *op) {
    KN_TRY(kn_check_inverse_factor(op));
    if (op->n > INT_MAX)
        return KN_EUNSUPPORTED;
    arrange(op, self->threads);
    *op->factored = factor(op->scratch, op->n, self->threads);
    if (*op->factored)
        invert(op->u, op->scratch, op->n, self->threads);
    return KN_OK;
}
