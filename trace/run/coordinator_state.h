// SPDX-License-Identifier: Apache-2.0
#ifndef TR_COORDINATOR_STATE_H
#define TR_COORDINATOR_STATE_H

#include "assembly.h"
#include "mpi/work.h"
#include "run/job.h"
#include "run/limits.h"
#include "run/progress.h"
#include "run/protocol.h"
#include "store/store.h"

// What the coordinator knows, shared by its parts. Internal.

// A checkpoint to do.
struct task {
    struct tr_series_entry entry; // path and name are the series' own, or with `owned` the task's
    bool owned, traced, suspect;  // as in struct tr_assignment
    bool over, failed;
    struct tr_assembly assembly;
};

struct tr_coordinator {
    const struct tr_job *job;
    struct tr_store *store;
    const char *backend;
    int ranks;
    struct dist_work *work;
    struct task *tasks; // [task_count], of which `finished` are over
    int64_t task_count;
    uint64_t task_capacity;
    struct tr_series_entry waiting; // what was found while the same name was in hand; no path: none
    int64_t highest_step;           // of all that was found
    double last_over;               // when a checkpoint was over last
    bool closed;                    // nothing more is looked for
    struct tr_hello *hellos;        // [ranks]
    int hello_count;
    double *partial; // [ranks], tokens of the item that each rank is at
    struct tr_progress progress;
    struct tr_limits limits;
    void (*end)(void *user, bool stopped); // as in tr_coordinator_on_end
    void *end_user;
    int64_t finished, failed, vanished; // checkpoints
    int64_t given_up;                   // of the failed those that are no tasks: ranks died of them
    bool stopped, dirty;                // a signal came; something is committed and not published
    double last_publish, publish_seconds;
    struct tr_err fatal; // code TR_OK: none
};

// Sets what ends the job, unless something did before.
void tr_coordinator_fail(struct tr_coordinator *coordinator, const struct tr_err *err);

// Lists the checkpoints that are to be done at the start, in order; with --follow also begins to
// look for others.
enum tr_status tr_arrivals_begin(struct tr_coordinator *coordinator, struct tr_err *err);

// With --follow: makes tasks of what was found meanwhile, and closes the list when what --until
// says has come.
void tr_arrivals_heed(struct tr_coordinator *coordinator);

// With --follow: ends looking, and says what is left because it is not whole.
void tr_arrivals_end(struct tr_coordinator *coordinator);

// Whether no checkpoint will be added any more.
bool tr_arrivals_are_over(const struct tr_coordinator *coordinator);

void tr_arrivals_free(struct tr_coordinator *coordinator); // the tasks

// Takes no more items when a signal has come, or when another checkpoint would not be done by the
// time limit; says so once.
void tr_endings_heed_stop(struct tr_coordinator *coordinator);

// Tells of ranks that say nothing, and ends the job when one has for too long, or when a stop was
// waited for longer than --grace.
void tr_endings_heed_silence(struct tr_coordinator *coordinator);

#endif
