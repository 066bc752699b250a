// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TRACE_READER_H
#define TR_TRACE_READER_H

#include <hdf5.h>

#include "store/store.h"

struct tr_trace {
    char *path;
    hid_t file;
    uint64_t bytes; // the file's size, which bounds what its datasets may claim
    int64_t rows;
    struct tr_run_info info;
    hid_t dataset[TR_VARIABLES];  // 0 when the file lacks the variable
    char **strings[TR_VARIABLES]; // [rows] of the string variables the file has
};

#endif
