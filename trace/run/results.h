// SPDX-License-Identifier: Apache-2.0
#ifndef TR_RESULTS_H
#define TR_RESULTS_H

#include "measure/measures.h"
#include "run/job.h"
#include "run/protocol.h"

// Commits the row of a checkpoint: what was measured of all sequences, which is used up, or with
// message->status its failure. `backend`: what ran it. `traced`: the store has the row, and what
// was measured is put into it; a failure leaves it as it is. One that
// vanished has no row.
enum tr_status tr_results_commit(struct tr_measured *measured, const struct tr_job *job,
                                 const struct tr_series_entry *entry, bool traced,
                                 const struct tr_message *message, const char *backend,
                                 struct tr_err *err);

#endif
