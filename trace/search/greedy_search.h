// SPDX-License-Identifier: Apache-2.0
#ifndef TR_GREEDY_SEARCH_H
#define TR_GREEDY_SEARCH_H

#include "run/run.h"

// A greedy search of every checkpoint of a series (run/search_plan.h says by what), into the store
// of an ordinary trace: first all checkpoints are traced, then each is searched, round after round.
// A round that is over is committed with its checkpoint's row, so that a search goes on where it
// ended; one that was killed and went on leaves the same file as one that was not. A checkpoint's
// weights are held in memory while it is searched, or read for each pass where they do not fit.
//
// Ranks share a round's candidates by micro-batches first. What a row of text says of a candidate
// is computed by one rank, and means over rows are taken in their order, so that bits depend
// neither on ranks nor on memory.

// Collective; settings->search is given. As tr_run: checkpoints that cannot be searched are named
// in the messages and counted as failed.
enum tr_status tr_search(const struct tr_run_settings *settings, struct dist *dist,
                         struct tr_run_outcome *outcome, struct tr_err *err);

#endif
