// SPDX-License-Identifier: Apache-2.0
#ifndef TR_STORE_STATE_H
#define TR_STORE_STATE_H

#include "base/strings.h"
#include "lock.h"
#include "records.h"

// The publisher's state, shared by opening (store.c) and publishing (publish.c).
struct tr_store {
    char *out_path, *folder; // OUT and OUT.parts
    struct tr_lock lock;
    bool superseded; // OUT is older than the parts; the next publication replaces it
    struct tr_run_info info;
    struct tr_string deaths; // names, each with a 0 behind it, once for each death
    struct tr_string past;   // history of OUT and the parts
    struct tr_trace *old;    // OUT while it is being read; NULL when there is none
    struct tr_records records;
    int64_t new_rows; // rows of `records` that come from parts
    char **withdrawn; // [withdrawn_count] names whose rows in OUT no longer count
    int64_t withdrawn_count;
    uint64_t withdrawn_capacity;
};

// Counts what notes of processes that are no more say (deaths.c); and forgets what is traced since.
enum tr_status tr_store_count_deaths(struct tr_store *store, struct tr_err *err);
void tr_store_forget_traced(struct tr_store *store);

// Reads which rows OUT and the parts hold, and leaves OUT open in store->old. Warnings about
// recorded attributes are appended to `warnings`.
enum tr_status tr_store_scan(struct tr_store *store, struct tr_string *warnings,
                             struct tr_err *err);
// What OUT and the parts that were scanned say of their past becomes this job's (store.c).
enum tr_status tr_store_go_on(struct tr_store *store, struct tr_err *err);
bool tr_store_withdrew(const struct tr_store *store, const char *name);
void tr_store_forget_withdrawn(struct tr_store *store);

// The words of a comparison: what a file is compared with, where a recorded attribute was another,
// and what to do about a difference.
struct tr_comparison {
    const char *here, *some, *advice;
};
extern const struct tr_comparison tr_comparison_run; // of a file with a run

// Whether a file that is there can take rows of this run (run_difference.c): TR_ECONFLICT with a
// sentence when its layout, its sequences or an identity attribute differ.
enum tr_status tr_store_compare(const struct tr_comparison *words, const struct tr_run_info *here,
                                const struct tr_run_info *there, const char *path,
                                struct tr_string *warnings, struct tr_err *err);

// Whether a file may be replaced unread (store.c): a store may, but not somebody's other file, nor
// a pipe, a device or a folder. TR_ECONFLICT.
enum tr_status tr_store_replaceable(const char *path, struct tr_err *err);

// Takes what `there` says of costs, named sets and a search into a description of the same rows
// that says nothing of them (committed.c).
enum tr_status tr_store_adopt(struct tr_run_info *info, const struct tr_run_info *there,
                              struct tr_err *err);

// Writes the records as a whole file under the name `temporary`, looks at what was written, and
// renames it to out_path (publish.c). Records whose rows are in an open trace name it.
enum tr_status tr_records_publish(const struct tr_records *records, const struct tr_run_info *info,
                                  const char *temporary, const char *out_path, struct tr_err *err);
// Removes the parts that the records are of, where they are still those that were read.
void tr_records_remove_parts(const struct tr_records *records);

#endif
