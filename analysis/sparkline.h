// SPDX-License-Identifier: Apache-2.0
#ifndef AN_SPARKLINE_H
#define AN_SPARKLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strings.h"

// Appends values[0], values[stride], ... as one character each, from low to high between their
// extremes; `logarithmic` scales by the logarithm, zero and less are the lowest. What is not finite
// is an x, and all is in the middle when all are equal. More values than `width` are sampled
// evenly, first and last included.
struct an_sparkline {
    const double *values;
    int64_t count, stride;
    bool logarithmic, utf8;
    int width;
};
enum tr_status an_sparkline(struct tr_string *out, const struct an_sparkline *line,
                            struct tr_err *err);

#endif
