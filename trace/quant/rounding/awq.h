// SPDX-License-Identifier: Apache-2.0
#ifndef TR_AWQ_H
#define TR_AWQ_H

#include "rounding/rounding.h"

// AWQ (Lin et al. 2023, arXiv 2306.00978): inputs of weights that read one thing are multiplied by
// scales s before rounding, and what they read is divided by them, so that those which matter lose
// less. Tried are, as llmcompressor 0.14 has it, none at all and 19 powers of how large the inputs
// are.

enum { TR_AWQ_TRIED = 20 };

// sums[i] += sum over rows of |w[o][i]| / (max |w| of the group of [o][i] + 1e-6); w [out, in].
void tr_awq_add_weights(double *sums, const struct kn_grid *grid, const float *w, int64_t out,
                        int64_t in);

// The scales s [in] of step 0, which are 1, or of the ratio r = (step - 1) / 18, from the means of
// |x| and of the sums above:
//   s = max(x^r / (w^(1 - r) + 1e-4), 1e-4);   s /= sqrt(max s * min s)
// What is not finite is 1.
void tr_awq_scales(double *s, const double *x_mean, const double *w_mean, int64_t in, int step);

// values = round(w * s) / s, what a weight becomes under its scales, [out, in] each.
enum tr_status tr_awq_round(float *values, const struct kn_grid *grid, const float *w,
                            const double *s, int64_t out, int64_t in, int threads,
                            struct tr_err *err);

// Clamps each group of w [out, in] for good to +-(1 - i / 20) of its largest magnitude, i < 10,
// where that makes the mean square of its part of the output's error the least, the first of
// equals: e H e^T of the group's block of the second moment h [in, in], of which the diagonal and
// what is left of it count.
enum tr_status tr_awq_clip(float *w, const struct kn_grid *grid, const double *h, int64_t out,
                           int64_t in, int threads, struct tr_err *err);

#endif
