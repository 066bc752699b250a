// SPDX-License-Identifier: Apache-2.0
#ifndef AN_CELL_H
#define AN_CELL_H

#include <stdint.h>

#include "statistics/panel.h"

// One mean of a panel, cell = checkpoint * units + unit, as the two sums that it is the ratio of.
// Used inside the room.
struct an_sums {
    double weighted, tokens; // over sequences
    int64_t measured;        // sequences in them
};

// weighted[sequences] = tokens * value and tokens[sequences], both 0 for a sequence left out.
void an_cell_terms(double *weighted, double *tokens, const struct an_panel *panel, int64_t cell);

struct an_sums an_cell_sums(const double *weighted, const double *tokens, int64_t sequences);

#endif
