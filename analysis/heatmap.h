// SPDX-License-Identifier: Apache-2.0
#ifndef AN_HEATMAP_H
#define AN_HEATMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strings.h"

// How to write for whoever reads.
struct an_style {
    int width; // columns of the terminal
    bool utf8;
    bool colour; // 256 colours
};

// The values of a heat map.
struct an_map {
    const double *values; // [checkpoints, layers]
    int64_t checkpoints, layers;
    char *const *column;  // [checkpoints] their short labels
    const char *quantity; // what a value is: "1 - cos"
    bool logarithmic;
};

// Appends layers as rows by checkpoints as columns, from the lowest to the highest value, with its
// legend. On a logarithmic scale what is 0 or less is the lowest; a linear one begins at 0 or the
// lowest above it, and what is less is marked. More checkpoints than columns are sampled evenly,
// first and last included, and it is said.
enum tr_status an_heatmap(struct tr_string *out, const struct an_map *map,
                          const struct an_style *style, struct tr_err *err);

#endif
