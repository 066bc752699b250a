// SPDX-License-Identifier: Apache-2.0
#ifndef DIST_CUT_H
#define DIST_CUT_H

#include <stdint.h>

// How a list of tasks, each of so many micro-batches, is cut into items for so many workers. As
// long as at least as many tasks are left as there are workers, each worker gets a whole one. The
// tasks that remain then are each cut into equal contiguous ranges of micro-batches, at most one
// for each worker: as many ranges as end the tasks soonest. It is a pure function of the three
// numbers.
struct dist_cut {
    int64_t whole;  // the first so many tasks are handed out whole,
    int64_t pieces; // the others in so many pieces each
};
struct dist_cut dist_cut(int64_t tasks, int64_t micro_batches, int workers);

// How many items that makes.
int64_t dist_cut_items(int64_t tasks, int64_t micro_batches, int workers);

#endif
