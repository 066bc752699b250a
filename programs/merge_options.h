// SPDX-License-Identifier: Apache-2.0
#ifndef TR_MERGE_OPTIONS_H
#define TR_MERGE_OPTIONS_H

#include "store/merge.h"

// trace-merge's command line: its settings are a struct tr_merging, whose list of inputs is freed
// with free(), and whether it speaks.
struct merge_options {
    struct tr_merging merging;
    bool quiet;
};

#endif
