// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SEARCH_ENGINE_H
#define TR_SEARCH_ENGINE_H

#include "model/pass_weights.h"
#include "run/cost_pass.h"
#include "run/fit.h"

// What one rank computes of a search: one checkpoint's weights, the streams of the whole model, of
// the set that is left out so far, and of candidates beside them. Private to this folder.

// What is kept of a candidate and a row of text.
enum tr_search_value { TR_SEARCH_VALUE, TR_SEARCH_NLL, TR_SEARCH_KL, TR_SEARCH_VALUES };

struct tr_search_work {
    double flops, blocks; // done so far: all, and without the heads
};

struct tr_search_engine;

// Reads all weights where they fit beside a candidate; else every pass reads them, but for what is
// dropped. `memory`: what the rank may take.
enum tr_status tr_search_engine_open(struct tr_search_engine **engine_p, const struct tr_job *job,
                                     struct kn_backend *kn, struct tr_rank_bytes memory,
                                     const char *folder, struct tr_err *err);
void tr_search_engine_close(struct tr_search_engine *engine); // accepts NULL
const struct tr_loaded *tr_search_engine_loaded(const struct tr_search_engine *engine);

// Leaves out one candidate more from now on.
enum tr_status tr_search_engine_drop(struct tr_search_engine *engine, int64_t candidate,
                                     struct tr_err *err);
bool tr_search_engine_has_dropped(const struct tr_search_engine *engine, int64_t candidate);

// Measures this rank's share of a round into values[TR_SEARCH_VALUES, candidates, sequences]: what
// is not its own stays as it is. A value that is not finite becomes INFINITY.
enum tr_status tr_search_engine_round(struct tr_search_engine *engine, int rank, int ranks,
                                      double *values, struct tr_err *err);

struct tr_search_work tr_search_engine_work(const struct tr_search_engine *engine);

// How often weights that did not fit were read, and the seconds that passes waited for them.
struct tr_search_reading {
    int64_t passes;
    double waited;
};
struct tr_search_reading tr_search_engine_reading(const struct tr_search_engine *engine);

#endif
