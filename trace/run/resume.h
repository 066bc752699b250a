// SPDX-License-Identifier: Apache-2.0
#ifndef TR_RESUME_H
#define TR_RESUME_H

#include "run/job.h"

// Which checkpoints are left to do. A traced one is recognised without reading its data: by name,
// identity and config digest (and with --verify by its weights, re-read). Rank 0 only. Differences
// found are appended to `notes`.

// What is left to do of a checkpoint: with costs alone, its row is there and gains them.
enum tr_left { TR_LEFT_NOTHING, TR_LEFT_COSTS, TR_LEFT_ALL };

// Of one checkpoint, by what the store holds. A row whose checkpoint has changed on disk is
// withdrawn from it.
enum tr_status tr_job_left(enum tr_left *left_p, const struct tr_job *job, struct tr_store *store,
                           const struct tr_series_entry *entry, struct tr_string *notes,
                           struct tr_err *err);

// Goes by what the store holds. A row whose checkpoint has changed on disk is withdrawn from it.
enum tr_status tr_job_resume(struct tr_job *job, struct tr_store *store, struct tr_string *notes,
                             struct tr_err *err);

// For --dry-run: goes by the published store alone, which is only read. All checkpoints are left
// when there is none or it is to be forgotten.
enum tr_status tr_job_preview(struct tr_job *job, struct tr_string *notes, struct tr_err *err);

#endif
