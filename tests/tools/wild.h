// SPDX-License-Identifier: Apache-2.0
#ifndef WILD_H
#define WILD_H

#include <stdint.h>

#include "base/status.h"

// Writes a small store of values that are possible and hardly likely: 1 to 4 layers, 2 to 8 rows of
// text, 1 to 6 checkpoints; heavy tails, values at the ends of their ranges, ties, rows of other
// lengths, layers without a value, and, of two stores in three, costs and named sets. All of it
// follows from the seed.
enum tr_status write_wild(const char *out, uint64_t seed, struct tr_err *err);

#endif
