// SPDX-License-Identifier: Apache-2.0
#ifndef NX_FOLLOW_H
#define NX_FOLLOW_H

#include <signal.h>

#include "export/export.h"

struct nx_follower {
    const volatile sig_atomic_t *stop; // set by whoever wants it to end
    double period;                     // seconds between looks at the store
    // Told of each export: sentences for people, one a line, NULL for none; the path written.
    void (*tell)(const char *notes, const char *path);
};

// Exports now and again whenever the store is published anew (another file under its name), until
// the run is over, that is until its folder FILE.parts is gone, or until *stop. Waits for a store
// that is not there yet. What cannot be exported while the run goes on (nothing is complete yet) is
// tried again with the next publication. Outputs are replaced whole; the first one only with
// options->force.
enum tr_status nx_follow(const struct nx_options *options, const struct nx_follower *follower,
                         struct tr_err *err);

#endif
