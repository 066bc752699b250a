// SPDX-License-Identifier: Apache-2.0
#ifndef TR_GPTQ_H
#define TR_GPTQ_H

#include "kernels/few_bits.h"
#include "rounding/rounding.h"

// GPTQ (Frantar et al. 2022, arXiv 2210.17323) as the ops of kernels/few_bits.h compute it. Second
// moments h [in, in] are in the backend's memory, weights in the host's.
struct tr_gptq_options {
    double damping;            // of the mean of h's diagonal, added to it
    enum kn_input_order order; // but for KN_ORDER_FILE by descending h[i][i]: those that matter
                               // most come while many are left to make up for them
};

// What became of a second moment. `damping`: that with which it could be factored, 0.01 more at a
// time up to 1. Without `factored` (no input came by, or no damping was enough) weights can only be
// rounded to nearest.
struct tr_gptq_factor {
    struct kn_backend *kn;
    double *u;            // [in, in] in the backend's memory, in the order of the inputs
    int32_t *order;       // [in]: which input comes when
    int32_t *order_there; // the same in the backend's memory
    int64_t in;
    double damping;
    bool factored;
};

// Factors a second moment. An input that was always 0 is taken to be uncorrelated: it is rounded to
// nearest and makes up for nothing.
enum tr_status tr_gptq_factor_new(struct tr_gptq_factor *factor, struct kn_backend *kn,
                                  const struct tr_gptq_options *options, const double *h,
                                  int64_t in, struct tr_err *err);
void tr_gptq_factor_free(struct tr_gptq_factor *factor); // accepts one that is zero

// The codes of w [out, in]. Errors as tr_round_to_nearest.
enum tr_status tr_gptq(struct tr_codes *codes, const struct kn_grid *grid,
                       const struct tr_gptq_options *options, const struct tr_gptq_factor *factor,
                       const float *w, int64_t out, int threads, const char *name,
                       struct tr_err *err);

// squares[o] = e h e^T with e = x[o] - less[o], or x[o] where less is NULL; x, less [out, in] and
// squares [out] in the host's memory.
enum tr_status tr_squared_outputs(double *squares, struct kn_backend *kn, const float *x,
                                  const float *less, int64_t out, int64_t in, const double *h,
                                  struct tr_err *err);

// How much of the output's square an error in the weights is: tr(E H E^T) / tr(W H W^T), with
// E = values - w; 0 where nothing came by.
enum tr_status tr_output_error(double *error, struct kn_backend *kn, const float *values,
                               const float *w, int64_t out, int64_t in, const double *h,
                               struct tr_err *err);

#endif
