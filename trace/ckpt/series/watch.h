// SPDX-License-Identifier: Apache-2.0
#ifndef TR_WATCH_H
#define TR_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "base/strings.h"

// Watches the folder of a run in which a training program writes checkpoints, and gives each once
// it is whole. Whole is what the program says to be (it writes something last: a table of
// trainers/whole.c) and what can be opened; where the program says nothing, what can be opened and
// has not changed for a few seconds. One thread at a time.

struct tr_watch;

// Opens the checkpoint `path` and gives its identity; what cannot be opened is looked at again when
// it changes.
typedef enum tr_status tr_watch_open_checkpoint(void *user, const char *path,
                                                char identity[TR_DIGEST_MAX], struct tr_err *err);

// `folder` is borrowed. TR_EUSAGE when it is no folder.
enum tr_status tr_watch_new(struct tr_watch **watch_p, const char *folder,
                            tr_watch_open_checkpoint *open, void *user, struct tr_err *err);
void tr_watch_free(struct tr_watch *watch); // accepts NULL

// Looks once. A folder that cannot be read for now is no error.
enum tr_status tr_watch_look(struct tr_watch *watch, struct tr_err *err);

// Sleeps until something happens in the folder, as far as the system tells, or until it is time for
// the next look, or until stopped(user).
void tr_watch_wait(struct tr_watch *watch, bool (*stopped)(const void *user), const void *user);

// The next checkpoint that is whole, in natural order of the names: its path, borrowed until the
// next look; NULL when there is none. One is given once, and again when it was written anew.
// *identity_p, borrowed: as opening it gave it; "" of one that cannot be opened.
const char *tr_watch_next(struct tr_watch *watch, const char **identity_p);

// When something that is no checkpoint yet changed, or one was given, last; of tr_now().
double tr_watch_changed(const struct tr_watch *watch);

// Says what has rested and is not whole, a line each, of what was not said before; with `all` also
// what has not rested.
enum tr_status tr_watch_say(struct tr_watch *watch, bool all, struct tr_string *notes,
                            struct tr_err *err);

#endif
