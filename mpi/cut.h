// SPDX-License-Identifier: Apache-2.0
#ifndef DIST_CUT_H
#define DIST_CUT_H

#include <stdint.h>

// How a list of tasks, each of so many micro-batches, is cut into items for so many workers: a task
// stays whole in every full round, one for each worker; those that remain then, fewer than workers,
// are each cut into equal contiguous ranges of micro-batches, as many as end them soonest, at most
// one per worker. A pure function of the three numbers.
struct dist_cut {
    int64_t whole;  // the first so many tasks are handed out whole,
    int64_t pieces; // the others in so many pieces each
};
struct dist_cut dist_cut(int64_t tasks, int64_t micro_batches, int workers);

// How many items that makes.
int64_t dist_cut_items(int64_t tasks, int64_t micro_batches, int workers);

#endif
