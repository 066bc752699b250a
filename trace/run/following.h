// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FOLLOWING_H
#define TR_FOLLOWING_H

#include "base/strings.h"
#include "ckpt/series.h"
#include "model/slab_reader.h"
#include "run/settings.h"

// What appears in the folder of a run while ranks work: a thread that watches it (ckpt/watch.h) and
// keeps what is whole until the coordinator takes it. Rank 0 only.

struct tr_follow;

// Everything is borrowed; `wanted` may change until tr_follow_start.
enum tr_status tr_follow_new(struct tr_follow **follow_p, const struct tr_run_settings *settings,
                             const struct tr_wanted *wanted, struct tr_err *err);
void tr_follow_free(struct tr_follow *follow); // ends the thread; accepts NULL

// Waits until there is a whole checkpoint, and gives the series of those that are there. Says
// meanwhile what it waits for. TR_ENVIRONMENT when the job was asked to stop, when nothing came
// within --until idle=SEC, and for a dry run soon.
enum tr_status tr_follow_first(struct tr_follow *follow, struct tr_series *series,
                               struct tr_err *err);

enum tr_status tr_follow_start(struct tr_follow *follow, struct tr_err *err);

// The next checkpoint that was found, whose path and name are the caller's then; *found_p is false
// when there is none now. Appends what people should know. An error of the watch is returned.
enum tr_status tr_follow_take(struct tr_follow *follow, struct tr_series_entry *entry,
                              bool *found_p, struct tr_string *notes, struct tr_err *err);

// When the folder last changed as far as checkpoints go; of tr_now().
double tr_follow_changed(struct tr_follow *follow);

// Ends the thread, and says which checkpoints are left because they are not whole.
enum tr_status tr_follow_end(struct tr_follow *follow, struct tr_string *notes, struct tr_err *err);

#endif
