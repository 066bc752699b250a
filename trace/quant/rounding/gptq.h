// SPDX-License-Identifier: Apache-2.0
#ifndef TR_GPTQ_H
#define TR_GPTQ_H

#include "rounding/rounding.h"

// GPTQ (Frantar et al. 2022, arXiv 2210.17323, algorithm 1): a weight is rounded input by input,
// and what that does to the output is made up for by the inputs that are still to come. With
// H = X^T X of the inputs, damped, and H^-1 = U^T U:
//   for each input i, in order:
//     v  = value of w[o][i];   e = (w[o][i] - v) / U[i][i]
//     w[o][j] -= e U[i][j]     for the inputs j behind i
enum tr_input_order {
    TR_ORDER_FILE, // as they are; a group's scale is found when its first input comes
    // By descending H[i][i]: those that matter most come while many are left to make up for them.
    // Scales are found before, of the weight as it is.
    TR_ORDER_STATIC, // groups are of the file's order
    TR_ORDER_GROUPS  // groups are formed along the new order: group_of is not ascending
};

struct tr_gptq_options {
    double damping; // of the mean of H's diagonal, added to it
    enum tr_input_order order;
};

// What became of a second moment. `damping`: that with which it could be factored, 0.01 more at a
// time up to 1. Without `factored` (no input came by, or no damping was enough) weights can only be
// rounded to nearest.
struct tr_gptq_factor {
    double *u;      // [in, in], in the order of the inputs
    int32_t *order; // [in]: which input comes when
    int64_t in;
    double damping;
    bool factored;
};

// Factors a second moment h [in, in], of which the diagonal and what is left of it count. An input
// that was always 0 is taken to be uncorrelated: it is rounded to nearest and makes up for nothing.
enum tr_status tr_gptq_factor_new(struct tr_gptq_factor *factor,
                                  const struct tr_gptq_options *options, const double *h,
                                  int64_t in, int threads, struct tr_err *err);
void tr_gptq_factor_free(struct tr_gptq_factor *factor); // accepts one that is zero

// The codes of w [out, in]. Errors as tr_round_to_nearest.
enum tr_status tr_gptq(struct tr_codes *codes, const struct tr_grid *grid,
                       const struct tr_gptq_options *options, const struct tr_gptq_factor *factor,
                       const float *w, int64_t out, int threads, const char *name,
                       struct tr_err *err);

// How much of the output's square an error in the weights is: tr(E H E^T) / tr(W H W^T), with
// E = values - w and h as above; 0 where nothing came by.
enum tr_status tr_output_error(double *error, const float *values, const float *w, int64_t out,
                               int64_t in, const double *h, int threads, struct tr_err *err);

#endif
