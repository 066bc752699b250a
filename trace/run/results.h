// SPDX-License-Identifier: Apache-2.0
#ifndef TR_RESULTS_H
#define TR_RESULTS_H

#include "measure/spans.h"
#include "measure/sums.h"
#include "run/job.h"
#include "run/protocol.h"

// What is measured of one checkpoint over a range of calibration sequences: of an item by the rank
// that runs it, of all sequences by rank 0 when a checkpoint was split. Plain data; zeros are
// empty.
struct tr_results {
    struct tr_sums *sums;
    struct tr_spans *spans;
};

enum tr_status tr_results_new(struct tr_results *results, const struct tr_layout *layout,
                              int64_t begin, int64_t end, struct tr_err *err);
void tr_results_free(struct tr_results *results);

// Bytes that a rank may hold at a time for results over all sequences.
double tr_results_bytes(const struct tr_layout *layout, int threads);

// Appends the results as bytes, for sending.
enum tr_status tr_results_append(const struct tr_results *results, struct tr_string *bytes,
                                 struct tr_err *err);
// Puts the results of sequences [begin, end), sent as bytes, into those of all of the layout's.
// TR_EFORMAT when their size is another.
enum tr_status tr_results_join(struct tr_results *results, const struct tr_layout *layout,
                               int64_t begin, int64_t end, const void *bytes, size_t size,
                               struct tr_err *err);

// Commits the row of message->item's checkpoint: its results, of all sequences, which are used up,
// or with message->status its failure. `backend`: what ran it.
enum tr_status tr_results_commit(struct tr_results *results, const struct tr_job *job,
                                 const struct tr_message *message, const char *backend,
                                 struct tr_err *err);

#endif
