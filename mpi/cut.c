// SPDX-License-Identifier: Apache-2.0
#include "mpi/cut.h"

#include "base/assert.h"

static int64_t ceil_div(int64_t a, int64_t b) {
    return a / b + (a % b != 0);
}

// The number of pieces of each task with which the `rest` tasks are over soonest; of equals the
// least. A piece has to read all weights, which is counted as the work of one micro-batch.
static int64_t best_pieces(int64_t rest, int64_t micro_batches, int workers) {
    int64_t most = micro_batches < workers ? micro_batches : workers;
    int64_t best = 1, best_time = INT64_MAX;
    for (int64_t pieces = 1; pieces <= most; pieces++) {
        int64_t time = ceil_div(rest * pieces, workers) * (ceil_div(micro_batches, pieces) + 1);
        if (time < best_time) {
            best_time = time;
            best = pieces;
        }
    }
    return best;
}

struct dist_cut dist_cut(int64_t tasks, int64_t micro_batches, int workers) {
    TR_ASSERT(tasks >= 0 && micro_batches >= 1 && workers >= 1);
    int64_t whole = tasks - tasks % workers;
    return (struct dist_cut){whole, best_pieces(tasks - whole, micro_batches, workers)};
}

int64_t dist_cut_items(int64_t tasks, int64_t micro_batches, int workers) {
    struct dist_cut cut = dist_cut(tasks, micro_batches, workers);
    return cut.whole + (tasks - cut.whole) * cut.pieces;
}
