// SPDX-License-Identifier: Apache-2.0
#ifndef TR_MANIFEST_H
#define TR_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strings.h"

// A manifest's rows as its CSV says them, before anything is looked up on disk. Internal.

struct tr_manifest_row {
    const char *path;
    const char *name;  // "" when not given
    const char *stage; // "" when not given
    int64_t step;      // -1 when not given
    double tokens;     // NaN when not given
};

struct tr_manifest {
    struct tr_manifest_row *rows; // [count]
    int64_t count;
    char *text;               // what the rows point into
    struct tr_string unknown; // names of columns that are not read, a comma between two
};

// Parses bytes[0, size); `what` opens each sentence. At least one row, else TR_EFORMAT.
enum tr_status tr_manifest_parse(struct tr_manifest *manifest, const char *bytes, size_t size,
                                 const char *what, struct tr_err *err);
void tr_manifest_free(struct tr_manifest *manifest);

#endif
