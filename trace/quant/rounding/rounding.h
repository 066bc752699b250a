// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ROUNDING_H
#define TR_ROUNDING_H

#include <stdbool.h>
#include <stdint.h>

#include "ckpt/codes.h"

// Weights in few bits, rounded to nearest. Values of a group (a few inputs of one output) share a
// scale s and a zero z; with n = 2^bits - 1:
//   code  = clamp(round(w / s) + z, 0, n), halves to even
//   value = s (code - z)
//   symmetric:  s = max |w| / (n / 2),                        z = (n + 1) / 2
//   asymmetric: s = (max(0, max w) - min(0, min w)) / n,      z = clamp(round(-min(0, min w) / s))
// so that 0 always has a code. s is rounded to the type in which it is stored before codes are
// found, so that what is measured is what a loader sees. Where the range is 0 it counts as 2.
struct tr_grid {
    int bits; // 4 or 8
    bool symmetric;
    // Both ends of the range are also tried at 1 - i / 100 of it, i < 80, and the one kept for
    // which the sum of |value - w|^2.4 is the least, the first of equals.
    bool clip;
    int64_t group_size;        // inputs; 0: all inputs of an output are one group
    enum tr_dtype scale_dtype; // TR_F16, TR_BF16 or TR_F32
};

struct tr_step_size {
    float scale; // infinite where the type cannot hold it
    int zero;
};

// The scale and the zero of a group's values.
struct tr_step_size tr_step_size_of(const struct tr_grid *grid, const double *w, int64_t count);

int tr_code_of(const struct tr_grid *grid, struct tr_step_size step, double w);

static inline double tr_value_of(struct tr_step_size step, int code) {
    return (double)(step.scale * (float)(code - step.zero));
}

// Inputs of a group: grid->group_size, or all.
static inline int64_t tr_grid_group(const struct tr_grid *grid, int64_t in) {
    return grid->group_size && grid->group_size < in ? grid->group_size : in;
}

// Every weight by itself. w [out, in]; `name` is the weight's, for sentences. TR_EUNSUPPORTED where
// a value is not finite, or a scale is beyond its type.
enum tr_status tr_round_to_nearest(struct tr_codes *codes, const struct tr_grid *grid,
                                   const float *w, int64_t out, int64_t in, int threads,
                                   const char *name, struct tr_err *err);

// ---- shared by the methods ---------------------------------------------------------------------

// Codes of that shape, with nothing in them but what the grid says.
enum tr_status tr_codes_begin(struct tr_codes *codes, const struct tr_grid *grid, int64_t out,
                              int64_t in, bool ordered, const char *name, struct tr_err *err);

// TR_EUNSUPPORTED where a weight is not finite.
enum tr_status tr_weights_finite(const float *w, int64_t count, const char *name,
                                 struct tr_err *err);

// TR_EUNSUPPORTED where a scale is beyond its type.
enum tr_status tr_scales_finite(const struct tr_codes *codes, const char *name, struct tr_err *err);

#endif
