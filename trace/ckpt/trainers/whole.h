// SPDX-License-Identifier: Apache-2.0
#ifndef TR_WHOLE_H
#define TR_WHOLE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/status.h"

// When a checkpoint that a training program writes is whole, by what that program writes last: a
// table, one row a rule. Internal.

struct tr_whole {
    // What is missing, as in "trainer_state.json, which is written last"; "" when nothing is.
    char waits_for[256];
    double patience; // seconds at rest after which what is missing is no longer waited for; 0: none
    bool said;       // the trainer says that it is whole; else rest has to tell
    bool known;      // a row knows the layout
    const char *last; // the file within it that says so, of static text; NULL: there is none
    struct stat info; // of that
};

// Looks at the folder or file `name` of the folder `run`. Files that are being written are no
// errors: they are waited for.
enum tr_status tr_whole_look(struct tr_whole *whole, const char *run, const char *name,
                             struct tr_err *err);

// Whether a name in a run's folder is one that trainers give to what is not a checkpoint yet, or is
// another name of one: "tmp-...", "step7-tmp", hidden files, "latest...", and files that are no
// checkpoints by themselves.
bool tr_is_passing(const char *name, bool is_folder);

#endif
