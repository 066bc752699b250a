// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SEARCH_ROW_H
#define TR_SEARCH_ROW_H

#include "run/job.h"
#include "search_engine.h"

// A checkpoint's row in the store, as far as its search has come. Rank 0 only; private to this
// folder.
struct tr_search_row {
    struct tr_row row;
    int64_t rounds; // that are over
};

// Reads the row of the series' entry. *found_p is false where the store has none, or its checkpoint
// failed. TR_EFORMAT when what it says of a search makes no sense.
enum tr_status tr_search_row_read(struct tr_search_row *row, const struct tr_job *job,
                                  const struct tr_series_entry *entry, bool *found_p,
                                  struct tr_err *err);
void tr_search_row_free(struct tr_search_row *row); // leaves zeros

// What round `round`, which is over, left out.
int64_t tr_search_row_dropped(const struct tr_search_row *row, int64_t round);

// The next round is over: it left out `dropped`, by values[TR_SEARCH_VALUES, candidates, sequences]
// (what is not finite is missing) and their means over sequences, means[candidates]. Commits the
// row.
enum tr_status tr_search_row_commit(struct tr_search_row *row, const struct tr_job *job,
                                    int64_t dropped, const double *values, const double *means,
                                    struct tr_err *err);

#endif
