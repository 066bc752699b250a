// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TASK_PARTS_H
#define TR_TASK_PARTS_H

#include "evaluation_state.h"

// A task that several ranks score: part I of N are its micro-batches I, I + N, ..., which are the
// same for any N, kept in a file by prompt until all are put together. Private to this folder.

enum { TR_TASK_MOST_PARTS = 64 };

// FOLDER/TASK.WHAT.json, freed with free().
enum tr_status tr_task_path(const struct tr_evaluated *c, const struct tr_task *task,
                            const char *what, char **path_p, struct tr_err *err);

// Scores a part and keeps it, unless such a file is there; c->stopped as for tr_evaluated_take.
enum tr_status tr_task_part_score(struct tr_evaluated *c, int64_t task, int64_t part,
                                  const char *identity, struct tr_err *err);
// e->now[task] of what the parts know, and of what they do not, scored here.
enum tr_status tr_task_parts_join(struct tr_evaluated *c, int64_t task, const char *identity,
                                  struct tr_err *err);
// Removes their files.
enum tr_status tr_task_parts_remove(const struct tr_evaluated *c, int64_t task, struct tr_err *err);

#endif
