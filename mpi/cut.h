// SPDX-License-Identifier: Apache-2.0
#ifndef DIST_CUT_H
#define DIST_CUT_H

#include <stdint.h>

// How a list of tasks, each of so many micro-batches, is cut into items for so many workers. As
// long as at least as many tasks are left as there are workers, each worker gets a whole one. Of
// the tasks that remain then each node gets equally many, which its workers share in equal
// contiguous ranges of micro-batches, so that a node reads the weights of as few tasks as can be;
// those that are left over are shared by all workers. Where that would end later than sharing all
// of them among all workers, they are shared so. Ranges are as many as end the tasks soonest, at
// most one for each worker that shares. It is a pure function of the four numbers.
struct dist_cut {
    int64_t whole;       // the first so many tasks are handed out whole,
    int64_t by_node;     // the next so many
    int64_t node_pieces; // in so many pieces each, for a node's workers,
    int64_t pieces;      // the others in so many pieces each
};
struct dist_cut dist_cut(int64_t tasks, int64_t micro_batches, int workers, int nodes);

// In how many pieces the index-th task is.
int64_t dist_cut_pieces(const struct dist_cut *cut, int64_t index);

// How many items that makes.
int64_t dist_cut_items(int64_t tasks, int64_t micro_batches, int workers, int nodes);

#endif
