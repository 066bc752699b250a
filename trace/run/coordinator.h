// SPDX-License-Identifier: Apache-2.0
#ifndef TR_COORDINATOR_H
#define TR_COORDINATOR_H

#include "mpi/dist.h"
#include "run/job.h"
#include "run/run.h"
#include "store/store.h"

// Rank 0's service: hands out items, joins the pieces of split checkpoints, publishes the store,
// shows progress, and heeds signals.

struct tr_coordinator;

// The job and the store are borrowed. `backend`: the description recorded with joined checkpoints.
enum tr_status tr_coordinator_new(struct tr_coordinator **coordinator_p, const struct tr_job *job,
                                  struct tr_store *store, int ranks, const char *backend,
                                  struct tr_err *err);
// On which node each rank is, node_of[ranks] from 0 on, when that is more than one; before work
// begins.
enum tr_status tr_coordinator_place(struct tr_coordinator *coordinator, const int *node_of,
                                    struct tr_err *err);
// What ends the job at once, on all ranks: `stopped` when a stop was waited for in vain, else
// because a rank has been silent for too long. Does not return. Never called without one.
void tr_coordinator_on_end(struct tr_coordinator *coordinator,
                           void (*end)(void *user, bool stopped), void *user);
void tr_coordinator_free(struct tr_coordinator *coordinator); // accepts NULL

// The service as dist_serve_begin takes it.
struct dist_service tr_coordinator_service(struct tr_coordinator *coordinator);

// Publishes for the last time and prints the summary; called after the service has ended. The error
// is what ended the job before its work was done.
enum tr_status tr_coordinator_finish(struct tr_coordinator *coordinator,
                                     struct tr_run_outcome *outcome, struct tr_err *err);

#endif
