// SPDX-License-Identifier: Apache-2.0
#ifndef TR_MERGE_INFO_H
#define TR_MERGE_INFO_H

#include "base/strings.h"
#include "store/run_info.h"

// What a file that is merged of several says of itself.
struct tr_merged_info {
    struct tr_run_info info; // of the first file, and what others add of costs, sets and a search
    struct tr_string history;
    double seconds, timed;         // of all checkpoints whose time is known, and how many they are
    bool orders_differ, unplanned; // the files' row_order, and `planned`
    bool begun;
};

// Takes a file's description in: TR_ECONFLICT where it is of another series. `path`: the file;
// sentences about attributes that are recorded go to `warnings`.
enum tr_status tr_merged_info_add(struct tr_merged_info *merged, const struct tr_run_info *there,
                                  int64_t rows, const char *path, struct tr_string *warnings,
                                  struct tr_err *err);
// When all are taken in and the rows are in order: `first` is of the file with the first of them.
enum tr_status tr_merged_info_end(struct tr_merged_info *merged, const struct tr_run_info *first,
                                  int64_t rows, struct tr_err *err);
void tr_merged_info_free(struct tr_merged_info *merged);

#endif
