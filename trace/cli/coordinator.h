// SPDX-License-Identifier: Apache-2.0
#ifndef TR_COORDINATOR_H
#define TR_COORDINATOR_H

#include "dist.h"
#include "job.h"
#include "store.h"

// Rank 0's service: hands out items, joins the pieces of split checkpoints, publishes the store,
// shows progress, and heeds signals.

struct tr_coordinator;

// The job and the store are borrowed. `backend`: the description recorded with joined checkpoints.
enum tr_status tr_coordinator_new(struct tr_coordinator **coordinator_p, const struct tr_job *job,
                                  struct tr_store *store, int ranks, const char *backend,
                                  struct tr_err *err);
void tr_coordinator_free(struct tr_coordinator *coordinator); // accepts NULL

// What dist_serve_begin wants.
struct dist_service tr_coordinator_service(struct tr_coordinator *coordinator);

// The last publication, and the summary on stderr. After the service has ended. *exit_p: 0, 1, 3 or
// 75 as the contract has it.
void tr_coordinator_finish(struct tr_coordinator *coordinator, int *exit_p);

// From now on SIGTERM, SIGINT and SIGUSR1 only set a flag: items in flight are finished, no more
// are handed out. A second SIGINT ends the process.
void tr_signals_catch(void);

#endif
