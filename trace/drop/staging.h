// SPDX-License-Identifier: Apache-2.0
#ifndef TR_STAGING_H
#define TR_STAGING_H

#include "base/status.h"

// A folder that is made aside and gets its name when it is whole. Private to this folder.
struct tr_staging {
    char *target; // absolute, but for its last part as it was spelled
    char *folder; // where it is made: ".NAME.partial-XXXXXX" beside the target
};

// TR_ECONFLICT where something is at `target`, or where it would lie in `source`; TR_EIO where its
// parent cannot be written to.
enum tr_status tr_staging_open(struct tr_staging *staging, const char *target, const char *source,
                               struct tr_err *err);

// Syncs the folder, names it, and syncs its parent. What is at `target` by now is not replaced.
enum tr_status tr_staging_publish(struct tr_staging *staging, struct tr_err *err);

// Removes what was made and has no name yet.
void tr_staging_close(struct tr_staging *staging);

#endif
