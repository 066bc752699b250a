// SPDX-License-Identifier: Apache-2.0
#ifndef TR_RECORDS_H
#define TR_RECORDS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/store.h"

// Where each committed row is, and what it says of itself.
struct tr_record {
    char *strings[TR_VARIABLES]; // of the string variables
    char *digest;                // of row_digest.h; "" of a row that schema 1.0 wrote
    int64_t step;
    double tokens;
    enum tr_row_status status;
    struct tr_additions additions;
    char *part; // the path of the file of its own that the row is in; NULL: it is in `trace`,
    const struct tr_trace *trace; // which is to be read only while it is open
    int64_t index;                // the row there
    ino_t inode;                  // the part's, when it was read
};

struct tr_records {
    struct tr_record *rows; // [count]; names differ
    int64_t count;
    uint64_t capacity;
    int64_t *places; // [place_count] a row's number and 1, where its name's hash leads; 0: none
    uint64_t place_count; // a power of 2; 0: to be made anew
};

// Adds every row of an open trace; a row of the same name is replaced. `part`: its path, NULL for
// OUT.
enum tr_status tr_records_add(struct tr_records *records, const struct tr_trace *trace,
                              const char *part, struct tr_err *err);
// The same of one row.
enum tr_status tr_records_add_row(struct tr_records *records, const struct tr_trace *trace,
                                  int64_t row, const char *part, struct tr_err *err);
// NULL when there is none. In a time that does not grow with their number.
struct tr_record *tr_records_find(struct tr_records *records, const char *name);
void tr_records_remove(struct tr_records *records, struct tr_record *record);
// In the order of training (tr_moments_sort); `rule`: what differs from it, NULL for nothing.
enum tr_status tr_records_sort(struct tr_records *records, const char *rule, struct tr_err *err);
void tr_records_free(struct tr_records *records);

#endif
