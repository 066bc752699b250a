// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TRACE_READER_H
#define TR_TRACE_READER_H

#include <hdf5.h>

#include "source.h"
#include "store/store.h"

struct tr_trace {
    char *path;
    struct tr_source source;
    hid_t file;
    uint64_t bytes; // the file's size, which bounds what its datasets may claim
    int64_t minor;  // schema version's second number; 0: neither seal nor digests
    int64_t rows;
    struct tr_run_info info;
    hid_t dataset[TR_VARIABLES];  // 0 when the file lacks the variable
    char **strings[TR_VARIABLES]; // [rows] of the string variables the file has
    char **digest;                // [rows] of row_digest.h; NULL when the file has none
};

// What opening checks of the rows of a trace (trace_rows.c): that each is what its digest is of,
// and that its status is one.
enum tr_status tr_trace_check_rows(const struct tr_trace *trace, struct tr_err *err);
// The same of the scales: that each index stands for what its place says.
enum tr_status tr_trace_check_scales(const struct tr_trace *trace, struct tr_err *err);
// Of one; the checkpoint's of a whole store.
enum tr_status tr_trace_check_scale(const struct tr_trace *trace, enum tr_dim dim,
                                    struct tr_err *err);
// "<path> is damaged: <name> <how>"
enum tr_status tr_trace_damaged(const struct tr_trace *trace, const char *name, const char *how,
                                struct tr_err *err);
// The same of what is another program's work where the file has no seal.
enum tr_status tr_trace_changed(const struct tr_trace *trace, const char *name, const char *how,
                                struct tr_err *err);
// "reading <name> of <path> failed: <cause>", right after the call of HDF5 that failed
enum tr_status tr_trace_read_failed(const struct tr_trace *trace, const char *name,
                                    struct tr_err *err);
// Opens a dataset of the file by its type and rank; its sizes go to size[rank].
enum tr_status tr_trace_dataset(const struct tr_trace *trace, const char *name,
                                enum tr_value_type type, int rank, hsize_t *size, hid_t *dataset_p,
                                struct tr_err *err);
// All strings of a dataset, which has `count`, as our own memory; freed with the other.
enum tr_status tr_trace_read_strings(const struct tr_trace *trace, const char *name, hid_t dataset,
                                     int64_t count, char ***strings_p, struct tr_err *err);
void tr_trace_free_strings(char **strings, int64_t count);

#endif
