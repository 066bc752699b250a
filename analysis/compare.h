// SPDX-License-Identifier: Apache-2.0
#ifndef AN_COMPARE_H
#define AN_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "analysis/result.h"
#include "base/status.h"

// Two runs side by side. Checkpoints are aligned by tokens (else by steps, else by order): each of
// the first run's with the second's that is nearest in time, where they are at most AN_NEAR apart
// by ratio and no other is nearer. Layers are aligned by relative depth: the one with fewer is the
// grid, and the other's values are interpolated linearly between the middles of its layers. Means
// are over the aligned checkpoints, each counting once, as does every sequence. Where both runs saw
// the same calibration tokens their sequences are resampled together, so that differences are
// paired.
#define AN_NEAR 1.1

struct an_pair {
    int64_t first, second; // checkpoints of the two series
};

struct an_compared_unit {
    int64_t layer; // of the run with fewer layers
    enum tr_module module;
    struct an_estimate first, second; // mean of what is ranked by
    struct an_estimate difference;    // second less first
};

struct an_compared_group {
    enum an_group group;
    int64_t count; // lowest units that are compared as sets
    int64_t units;
    struct an_compared_unit *unit;    // [units]
    struct an_estimate jaccard;       // of the two sets
    double jaccard_chance;            // of two random sets
    struct an_estimate spearman, tau; // of the two rankings (tau-b)
};

struct an_comparison {
    char *path; // of the second run
    enum an_axis axis;
    int64_t layers;
    bool paired;
    int64_t pairs;
    struct an_pair *pair; // [pairs] in time
    int64_t groups;
    struct an_compared_group *group; // [groups] those wanted that both runs have
};

// TR_EUSAGE when no checkpoints can be aligned or --count is more than there are layers.
enum tr_status an_compare(struct an_comparison *comparison, const struct an_result *first,
                          const struct an_result *second, struct tr_err *err);
void an_comparison_free(struct an_comparison *comparison);

#endif
