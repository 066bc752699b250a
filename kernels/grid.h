// SPDX-License-Identifier: Apache-2.0
#ifndef KN_GRID_H
#define KN_GRID_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/backend.h"

// Weights in few bits. Values of a group (a few inputs of one output) share a scale s and a zero z;
// with n = 2^bits - 1:
//   code  = clamp(round(w / s) + z, 0, n), halves to even
//   value = s (code - z)
//   symmetric:  s = max |w| / (n / 2),                        z = (n + 1) / 2
//   asymmetric: s = (max(0, max w) - min(0, min w)) / n,      z = clamp(round(-min(0, min w) / s))
// so that 0 always has a code. s is rounded to the type in which it is stored before codes are
// found, so that what is measured is what a loader sees. Where the range is 0 it counts as 2.
struct kn_grid {
    int bits; // 4 or 8
    bool symmetric;
    // Both ends of the range are also tried at 1 - i / 100 of it, i < 80, and the one kept for
    // which the sum of |value - w|^2.4 is the least, the first of equals.
    bool clip;
    int64_t group_size;      // inputs; 0: all inputs of an output are one group
    enum kn_type scale_type; // in which scales are stored
};

struct kn_step_size {
    float scale; // infinite where the type cannot hold it
    int zero;
};

// The scale and the zero of a group's values.
struct kn_step_size kn_step_size_of(const struct kn_grid *grid, const double *w, int64_t count);

int kn_code_of(const struct kn_grid *grid, struct kn_step_size step, double w);

static inline double kn_value_of(struct kn_step_size step, int code) {
    return (double)(step.scale * (float)(code - step.zero));
}

// Inputs of a group: grid->group_size, or all.
static inline int64_t kn_grid_group(const struct kn_grid *grid, int64_t in) {
    return grid->group_size && grid->group_size < in ? grid->group_size : in;
}

static inline int64_t kn_grid_groups(const struct kn_grid *grid, int64_t in) {
    int64_t size = kn_grid_group(grid, in);
    return size ? (in + size - 1) / size : 0;
}

enum { KN_GRID_SHRINKS = 80, KN_GRID_SHRINK_PARTS = 100 };
#define KN_GRID_POWER 2.4

// The smallest scale of a type: one that would be less is this.
static inline float kn_grid_smallest(enum kn_type type) {
    return type == KN_F16 ? 0x1p-24f : 0x1p-126f;
}

#endif
