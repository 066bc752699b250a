// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TRACE_WRITER_H
#define TR_TRACE_WRITER_H

#include <hdf5.h>
#include <stdint.h>

#include "base/status.h"
#include "store/excerpt.h"
#include "store/row.h"
#include "store/run_info.h"
#include "store/store.h"

// A new store file of a known number of rows, written under a temporary name; nothing of it counts
// before tr_writer_close succeeded and the file is renamed. Callers hold the HDF5 lock.
struct tr_writer {
    char *path;
    hid_t file;
    struct tr_layout layout;
    int64_t rows;
    enum tr_form form;
    const struct tr_excerpt *excerpt; // what is kept of the layout; NULL: all, the usual case
    hid_t dataset[TR_VARIABLES];      // of variables of more dimensions than the checkpoint's
    hid_t scale[TR_DIM_COUNT];        // the dimensions' own datasets; 0 when not in use
    void *scalar[TR_VARIABLES];       // [rows] of the others, written at the end
    char **digest;                    // [rows] of row_digest.h, written at the end
    void *chunk;                      // one compressed chunk on its way
    uint64_t capacity;
    // Of the trace that a row was last copied of: the variables whose chunks mean the same here,
    // and the chunks' sizes.
    const struct tr_trace *compared;
    bool as_is[TR_VARIABLES];
    hsize_t chunks[TR_VARIABLES][TR_VARIABLE_DIMS];
};

enum tr_status tr_writer_open(struct tr_writer *writer, const char *path,
                              const struct tr_run_info *info, int64_t rows, struct tr_err *err);
// A copy in another form that keeps an excerpt, which has to live as long as the writer.
enum tr_status tr_writer_open_copy(struct tr_writer *writer, const char *path,
                                   const struct tr_run_info *info, enum tr_form form,
                                   const struct tr_excerpt *excerpt, struct tr_err *err);
// How long a dimension is in the file being written.
int64_t tr_writer_size(const struct tr_writer *writer, enum tr_dim dim);
enum tr_status tr_writer_row(struct tr_writer *writer, int64_t index, const struct tr_row *row,
                             struct tr_err *err);
// Row `from` of an open trace of the same layout; chunks are copied compressed as they are.
enum tr_status tr_writer_copy(struct tr_writer *writer, int64_t index, const struct tr_trace *trace,
                              int64_t from, struct tr_err *err);
// Row `from` of the trace that the writer's excerpt is of.
enum tr_status tr_writer_excerpt(struct tr_writer *writer, int64_t index,
                                 const struct tr_trace *trace, int64_t from, struct tr_err *err);
// Writes the rest, closes and seals. On failure the file is gone.
enum tr_status tr_writer_close(struct tr_writer *writer, struct tr_err *err);
// Closes and removes the file; does nothing after tr_writer_close.
void tr_writer_discard(struct tr_writer *writer);

// The parts of tr_writer_open and tr_writer_close that describe the file (trace_schema.c).
enum tr_status tr_schema_create(struct tr_writer *writer, const struct tr_run_info *info,
                                struct tr_err *err);
enum tr_status tr_schema_scalars(struct tr_writer *writer, struct tr_err *err);

#endif
