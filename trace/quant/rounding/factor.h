// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FACTOR_H
#define TR_FACTOR_H

#include <stdbool.h>
#include <stdint.h>

// Of a symmetric positive definite matrix h [n, n], the upper triangular u [n, n] with
// h^-1 = u^T u. With its rows and columns backwards, h has a Cholesky factor that is, backwards
// again, an upper triangular v with h = v v^T; then u = v^-1. So one factorisation and the inverse
// of one triangle are enough.
//
// Of h the diagonal and what is right of it are read, and overwritten. u has zeros below its
// diagonal. False where h is not positive definite, in the rounding of doubles: then u is worth
// nothing. Blocks are of fixed size and each is computed by one thread, so the bits do not depend
// on `threads`. n fits a BLAS's int.
bool tr_inverse_factor(double *u, double *h, int64_t n, int threads);

#endif
