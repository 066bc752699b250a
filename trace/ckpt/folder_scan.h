// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FOLDER_SCAN_H
#define TR_FOLDER_SCAN_H

#include <stdint.h>

#include "base/status.h"

// The names in a folder, in natural order. Internal.
struct tr_names {
    char **names; // [count]
    int64_t count;
    uint64_t capacity;
};

// Those that the pattern (of fnmatch) fits; hidden ones are left out.
enum tr_status tr_names_list(struct tr_names *names, const char *folder, const char *pattern,
                             struct tr_err *err);
void tr_names_free(struct tr_names *names);

#endif
