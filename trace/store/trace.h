// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TRACE_H
#define TR_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "store/row.h"
#include "store/run_info.h"

// Reading a trace: what programs outside of this project may use, too (docs/library.md). Readers
// never change a file, take no lock, and always see a whole one (store.h). All functions may be
// called from any thread; they serialise their use of HDF5 by one lock.

struct tr_trace; // an open store, read-only

// Opens a store or a part. TR_EFORMAT: not HDF5, not ours, or damaged; TR_EUNSUPPORTED: of a newer
// schema version, or with values in other files. Bytes that are read later are compared with the
// file's seal then. A file without one (of schema 1.0, or changed by another program) is read whole
// by a process of its own first, for HDF5 crashes over some damages: TR_EFORMAT then.
enum tr_status tr_trace_open(struct tr_trace **trace_p, const char *path, struct tr_err *err);
void tr_trace_close(struct tr_trace *trace); // accepts NULL

int64_t tr_trace_rows(const struct tr_trace *trace);
const struct tr_run_info *tr_trace_info(const struct tr_trace *trace); // borrowed

// Whether the file has the variable (a file of an older minor version may lack a newer one).
bool tr_trace_has(const struct tr_trace *trace, enum tr_variable_id id);

// Rows [first, first + count) of a numeric variable into `values`, tr_variable_elements() each.
// What the file lacks reads as missing (tr_values_fill).
enum tr_status tr_trace_read(const struct tr_trace *trace, enum tr_variable_id id, int64_t first,
                             int64_t count, void *values, struct tr_err *err);

// One string of a string variable; borrowed until the trace is closed.
const char *tr_trace_string(const struct tr_trace *trace, enum tr_variable_id id, int64_t row);

// One whole row; freed with tr_row_free.
enum tr_status tr_trace_row(const struct tr_trace *trace, int64_t index, struct tr_row *row,
                            struct tr_err *err);

// What the row's digest is (row_digest.h), "" where the file has none; borrowed.
const char *tr_trace_digest(const struct tr_trace *trace, int64_t row);

// Reads all of it and compares it with what was written: every byte with the file's seal, every
// value with its row's digest, where the file has them. TR_EFORMAT on the first difference.
enum tr_status tr_trace_check(const struct tr_trace *trace, struct tr_err *err);
// The same of one row's values.
enum tr_status tr_trace_check_row(const struct tr_trace *trace, int64_t row, struct tr_err *err);
// TR_EFORMAT when a row once had a variable that the file has not: another program left it out, or
// trace-export was asked for a part. What is there can be read; a run cannot go on with it.
enum tr_status tr_trace_check_whole(const struct tr_trace *trace, struct tr_err *err);
// Whether the file has a seal, and its rows digests: else less can be told.
bool tr_trace_sealed(const struct tr_trace *trace);
bool tr_trace_digested(const struct tr_trace *trace);

// Bytes of all compressed variables' values (those of more dimensions than the checkpoint's), and
// what they take on disk, for trace-info.
void tr_trace_sizes(const struct tr_trace *trace, uint64_t *values_p, uint64_t *disk_p);

#endif
