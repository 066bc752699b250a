// SPDX-License-Identifier: Apache-2.0
#include "mpi/cut.h"

#include "base/assert.h"

static int64_t ceil_div(int64_t a, int64_t b) {
    return a / b + (a % b != 0);
}

// When `rest` tasks of so many pieces each are over. A piece has to read all weights, which is
// counted as the work of one micro-batch.
static int64_t time_of(int64_t rest, int64_t micro_batches, int64_t workers, int64_t pieces) {
    return ceil_div(rest * pieces, workers) * (ceil_div(micro_batches, pieces) + 1);
}

// The number of pieces of each task with which they are over soonest; of equals the least.
static int64_t best_pieces(int64_t rest, int64_t micro_batches, int64_t workers) {
    int64_t most = micro_batches < workers ? micro_batches : workers;
    int64_t best = 1, best_time = INT64_MAX;
    for (int64_t pieces = 1; pieces <= most; pieces++) {
        int64_t time = time_of(rest, micro_batches, workers, pieces);
        if (time < best_time) {
            best_time = time;
            best = pieces;
        }
    }
    return best;
}

struct dist_cut dist_cut(int64_t tasks, int64_t micro_batches, int workers, int nodes) {
    TR_ASSERT(tasks >= 0 && micro_batches >= 1 && workers >= nodes && nodes >= 1);
    int64_t rest = tasks % workers, each = rest / nodes, left = rest % nodes;
    int64_t local = workers / nodes; // of the smallest node at most
    struct dist_cut together = {tasks - rest, 0, 1, best_pieces(rest, micro_batches, workers)};
    if (nodes == 1 || !each)
        return together;
    struct dist_cut apart = {tasks - rest, rest - left, best_pieces(each, micro_batches, local),
                             best_pieces(left, micro_batches, workers)};
    int64_t time = time_of(each, micro_batches, local, apart.node_pieces) +
                   time_of(left, micro_batches, workers, apart.pieces);
    return time <= time_of(rest, micro_batches, workers, together.pieces) ? apart : together;
}

int64_t dist_cut_pieces(const struct dist_cut *cut, int64_t index) {
    if (index < cut->whole)
        return 1;
    return index < cut->whole + cut->by_node ? cut->node_pieces : cut->pieces;
}

int64_t dist_cut_items(int64_t tasks, int64_t micro_batches, int workers, int nodes) {
    struct dist_cut cut = dist_cut(tasks, micro_batches, workers, nodes);
    return cut.whole + cut.by_node * cut.node_pieces +
           (tasks - cut.whole - cut.by_node) * cut.pieces;
}
