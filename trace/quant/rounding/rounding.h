// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ROUNDING_H
#define TR_ROUNDING_H

#include <stdbool.h>
#include <stdint.h>

#include "ckpt/codes.h"
#include "kernels/grid.h"

// Weights in few bits, as kernels/grid.h says them.

// Every weight by itself, rounded to nearest. w [out, in]; `name` is the weight's, for sentences.
// TR_EUNSUPPORTED where a value is not finite, or a scale is beyond its type.
enum tr_status tr_round_to_nearest(struct tr_codes *codes, const struct kn_grid *grid,
                                   const float *w, int64_t out, int64_t in, int threads,
                                   const char *name, struct tr_err *err);

// What all codes mean, as tr_codes_values has it.
void tr_rounded_values(const struct tr_codes *codes, float *values, int threads);

// ---- shared by the methods ---------------------------------------------------------------------

// Codes of that shape, with nothing in them but what the grid says.
enum tr_status tr_codes_begin(struct tr_codes *codes, const struct kn_grid *grid, int64_t out,
                              int64_t in, bool ordered, const char *name, struct tr_err *err);

// TR_EUNSUPPORTED where a weight is not finite.
enum tr_status tr_weights_finite(const float *w, int64_t count, int threads, const char *name,
                                 struct tr_err *err);

// TR_EUNSUPPORTED where a scale is beyond its type.
enum tr_status tr_scales_finite(const struct tr_codes *codes, const char *name, struct tr_err *err);

#endif
