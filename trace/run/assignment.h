// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ASSIGNMENT_H
#define TR_ASSIGNMENT_H

#include "base/strings.h"
#include "ckpt/series.h"
#include "mpi/work.h"

// What rank 0 answers a rank that asks for work: an item with all that is needed to do it. It
// speaks for itself, so that the list of checkpoints may grow while ranks work.
struct tr_assignment {
    enum dist_next next;          // without DIST_ITEM the rest is empty
    struct dist_item item;        // item.task: index into rank 0's list
    struct tr_series_entry entry; // the checkpoint; path and name are owned
    bool suspect;                 // a rank has died over it: nothing else is done meanwhile
    bool traced;                  // its row is there; what was added to the job is measured alone
};

void tr_assignment_free(struct tr_assignment *assignment); // leaves zeros

// The answer as bytes; `entry` is NULL without an item.
enum tr_status tr_assignment_write(struct tr_string *bytes, enum dist_next next,
                                   const struct dist_item *item,
                                   const struct tr_series_entry *entry, bool traced, bool suspect,
                                   struct tr_err *err);
// TR_EFORMAT when the bytes are no such answer.
enum tr_status tr_assignment_read(struct tr_assignment *assignment, const void *bytes, size_t size,
                                  struct tr_err *err);

#endif
