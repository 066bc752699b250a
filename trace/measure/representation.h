// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ALIGNMENT_H
#define TR_ALIGNMENT_H

#include <stdint.h>

#include "base/status.h"

// How alike several representations X_0 ... X_(count - 1) of the same n tokens are, every one with
// every other; all results are [count, count] and symmetric:
//   similarity    mean over tokens of cos(X_i[t], X_j[t])
//   cka           linear CKA (Kornblith et al. 2019, arXiv 1905.00414, section 3), X centred:
//                 <K_i, K_j> / sqrt(<K_i, K_i> <K_j, K_j>), K = X X^T over tokens, which is
//                 |X_j^T X_i|_F^2 / (|X_i^T X_i|_F |X_j^T X_j|_F)
//   cka_debiased  the same ratio of unbiased estimates (Song et al. 2012, HSIC_1), K~ being K with
//                 zeros on the diagonal and n at least 4; n (n - 3) cancels in the ratio:
//                 tr(K~ L~) + (1^T K~ 1)(1^T L~ 1) / ((n-1)(n-2)) - 2/(n-2) 1^T K~ L~ 1
// Tokens that have no direction in some representation (zero, or not finite) are left out of all.
// What remains undefined (too few tokens, all tokens alike) is NaN.
struct tr_alignment {
    float *similarity, *cka, *cka_debiased; // [count, count], the caller's
};

// rows: f32 [count, tokens, channels] in the host's memory; centred in place, so of no further use.
// Products are f32, after centring; inner products are summed in f64. The bits
// do not depend on `threads`, which is at least 1.
enum tr_status tr_align(const struct tr_alignment *alignment, int threads, float *rows,
                        int64_t count, int64_t tokens, int64_t channels, struct tr_err *err);

// Bytes that takes beside the rows.
double tr_align_bytes(int64_t count, int64_t tokens, int64_t channels, int threads);

#endif
