// SPDX-License-Identifier: Apache-2.0
#include "mpi/schedule.h"

#include <stdlib.h>

#include "base/alloc.h"

struct dist_schedule {
    int64_t checkpoints, micro_batches;
    int64_t whole;      // the first so many checkpoints are handed out whole,
    int64_t pieces;     // the others in so many pieces each
    int64_t checkpoint; // what is handed out next
    int64_t piece;
    bool stopped;
    int64_t *left; // [checkpoints] items of the checkpoint that are not done yet
};

static int64_t ceil_div(int64_t a, int64_t b) {
    return a / b + (a % b != 0);
}

// Whole checkpoints go out in full rounds, one per worker.
static int64_t whole_checkpoints(int64_t checkpoints, int workers) {
    return checkpoints - checkpoints % workers;
}

// The number of pieces per checkpoint that ends `rest` checkpoints soonest; fewer pieces where it
// makes no difference. Each piece reads all weights: counted as the work of one micro-batch.
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

enum tr_status dist_schedule_new(struct dist_schedule **schedule_p, int64_t checkpoints,
                                 int64_t micro_batches, int workers, struct tr_err *err) {
    if (checkpoints < 0 || micro_batches < 1 || micro_batches > INT32_MAX || workers < 1)
        return tr_fail(err, TR_EUSAGE,
                       "cannot schedule %lld checkpoints of %lld micro-batches for %d workers",
                       (long long)checkpoints, (long long)micro_batches, workers);
    struct dist_schedule *schedule;
    TR_TRY(TR_NEW(&schedule, 1, "schedule", err));
    enum tr_status status = TR_NEW(&schedule->left, checkpoints, "schedule", err);
    if (status != TR_OK) {
        free(schedule);
        return status;
    }
    schedule->checkpoints = checkpoints;
    schedule->micro_batches = micro_batches;
    schedule->whole = whole_checkpoints(checkpoints, workers);
    schedule->pieces = best_pieces(checkpoints - schedule->whole, micro_batches, workers);
    for (int64_t i = 0; i < checkpoints; i++)
        schedule->left[i] = i < schedule->whole ? 1 : schedule->pieces;
    *schedule_p = schedule;
    return TR_OK;
}

void dist_schedule_free(struct dist_schedule *schedule) {
    if (!schedule)
        return;
    free(schedule->left);
    free(schedule);
}

struct dist_item dist_schedule_next(struct dist_schedule *schedule) {
    if (schedule->stopped || schedule->checkpoint == schedule->checkpoints)
        return (struct dist_item){.checkpoint = -1};
    int64_t pieces = schedule->checkpoint < schedule->whole ? 1 : schedule->pieces;
    struct dist_item item = {
        .checkpoint = schedule->checkpoint,
        .begin = schedule->piece * schedule->micro_batches / pieces,
        .end = (schedule->piece + 1) * schedule->micro_batches / pieces,
        .pieces = pieces,
    };
    if (++schedule->piece == pieces) {
        schedule->piece = 0;
        schedule->checkpoint++;
    }
    return item;
}

int64_t dist_schedule_items(int64_t checkpoints, int64_t micro_batches, int workers) {
    int64_t whole = whole_checkpoints(checkpoints, workers);
    return whole + (checkpoints - whole) * best_pieces(checkpoints - whole, micro_batches, workers);
}

bool dist_schedule_done(struct dist_schedule *schedule, const struct dist_item *item) {
    return --schedule->left[item->checkpoint] == 0;
}

void dist_schedule_stop(struct dist_schedule *schedule) {
    schedule->stopped = true;
}
