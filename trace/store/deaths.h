// SPDX-License-Identifier: Apache-2.0
#ifndef TR_DEATHS_H
#define TR_DEATHS_H

#include "base/strings.h"
#include "store/store.h"

// Checkpoints over which ranks died. While a process is at a checkpoint, a file of OUT.parts says
// so, which it removes at the end; one that is left speaks of a death. Whoever opens the store next
// counts it. Notes are a help and no more: where one cannot be written, nothing is said of it, and
// none is synced, so that a node's end may take it along.

// This process's note for a job on out_path, freed with free().
enum tr_status tr_death_note(char **path_p, const char *out_path, struct tr_shard shard,
                             struct tr_err *err);
// Says that this process is at a checkpoint and, `next` not NULL, has begun to read another.
void tr_death_note_write(const char *path, const char *name, const char *next);
void tr_death_note_remove(const char *path);

// How many jobs have died over a checkpoint since it was last traced or forgotten.
int64_t tr_store_deaths(const struct tr_store *store, const char *name);
// Begins to count anew, as when it is recorded as failed.
void tr_store_forget_deaths(struct tr_store *store, const char *name);

#endif
