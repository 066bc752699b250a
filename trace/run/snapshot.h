// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SNAPSHOT_H
#define TR_SNAPSHOT_H

#include <stdbool.h>

#include "base/status.h"
#include "run/settings.h"

// A training program may write each checkpoint over the one before, into one file (ckpt.pt). Such a
// file is copied beside the store, into OUT.copies/, under a name with its step, and the copy is
// traced and removed. Rank 0 only.

// Whether the path is a file whose name is the same for every step: one without a number.
bool tr_is_overwritten(const char *path);

// Copies the file; *copy_p is freed with free(). TR_EIO when it changed meanwhile: it comes again.
enum tr_status tr_snapshot_take(char **copy_p, const char *path,
                                const struct tr_run_settings *settings, struct tr_err *err);

// Calls `add` for each copy that a job which was killed has left.
enum tr_status tr_snapshot_left(const struct tr_run_settings *settings,
                                enum tr_status (*add)(void *user, const char *path,
                                                      struct tr_err *err),
                                void *user, struct tr_err *err);

// Removes the checkpoint at `path` if it is a copy, and the folder of copies once it is empty.
void tr_snapshot_release(const char *path, const struct tr_run_settings *settings);

#endif
