// SPDX-License-Identifier: Apache-2.0
#include "kernels/grid.h"

#include <math.h>

static int highest(const struct kn_grid *grid) {
    return (1 << grid->bits) - 1;
}

// The scale as it is stored. One that is too small for its type is the smallest that is not 0: the
// group's values are then all 0 or one step away.
static float stored(const struct kn_grid *grid, double scale) {
    float value = (float)scale, smallest = kn_grid_smallest(grid->scale_type);
    uint32_t bits;
    kn_convert(&bits, grid->scale_type, &value, KN_F32, 1);
    kn_convert(&value, KN_F32, &bits, grid->scale_type, 1);
    return value > smallest ? value : smallest;
}

static struct kn_step_size from_range(const struct kn_grid *grid, double low, double high) {
    int n = highest(grid);
    if (grid->symmetric)
        return (struct kn_step_size){stored(grid, 2 * fmax(high, -low) / n), (n + 1) / 2};
    float scale = stored(grid, (high - low) / n);
    double zero = rint(-low / (double)scale);
    return (struct kn_step_size){scale, (int)fmin(fmax(zero, 0), n)};
}

int kn_code_of(const struct kn_grid *grid, struct kn_step_size step, double w) {
    double code = rint(w / (double)step.scale) + step.zero;
    return (int)fmin(fmax(code, 0), highest(grid));
}

static double misfit(const struct kn_grid *grid, struct kn_step_size step, const double *w,
                     int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += pow(fabs(kn_value_of(step, kn_code_of(grid, step, w[i])) - w[i]), KN_GRID_POWER);
    return sum;
}

static struct kn_step_size clipped(const struct kn_grid *grid, const double *w, int64_t count,
                                   double low, double high) {
    struct kn_step_size best = from_range(grid, low, high);
    double least = misfit(grid, best, w, count);
    for (int i = 1; i < KN_GRID_SHRINKS; i++) {
        double part = 1 - (double)i / KN_GRID_SHRINK_PARTS;
        struct kn_step_size step = from_range(grid, part * low, part * high);
        double sum = misfit(grid, step, w, count);
        if (sum < least) {
            least = sum;
            best = step;
        }
    }
    return best;
}

struct kn_step_size kn_step_size_of(const struct kn_grid *grid, const double *w, int64_t count) {
    double low = 0, high = 0;
    for (int64_t i = 0; i < count; i++) {
        low = fmin(low, w[i]);
        high = fmax(high, w[i]);
    }
    if (low == 0 && high == 0) {
        low = -1;
        high = 1;
    }
    return grid->clip ? clipped(grid, w, count, low, high) : from_range(grid, low, high);
}
