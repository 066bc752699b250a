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

// Appends layers as rows by checkpoints as columns, on a logarithmic scale from the lowest to the
// highest value, with its legend. values [checkpoints, layers]; column [checkpoints] are their
// short labels. More checkpoints than columns are sampled evenly, first and last included, and it
// is said.
enum tr_status an_heatmap(struct tr_string *out, const double *values, int64_t checkpoints,
                          int64_t layers, char *const *column, const struct an_style *style,
                          struct tr_err *err);

#endif
