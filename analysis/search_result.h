// SPDX-License-Identifier: Apache-2.0
#ifndef AN_SEARCH_RESULT_H
#define AN_SEARCH_RESULT_H

#include "analysis/report.h"
#include "base/drop_set.h"
#include "base/json.h"
#include "store/trace.h"

// What greedy searches (struct tr_search_plan in run/search_plan.h) found, and where in the model
// the pieces lie that went first, as FinerCut (arXiv 2405.18218) looks at them.

// A round that is over, with all that the rounds so far left out.
struct an_round {
    int64_t candidate; // that it left out
    double value;      // what the search goes by, mean over rows
    double loss, kl;   // added next-token loss and KL from the whole model, nats, means over rows
    // Where the dropped pieces lie. Of blocks the share of attention is half.
    double attention; // share of attention among them
    double depth;     // mean of layer / (layers - 1): 0 the first layer, 1 the last
    int64_t longest;  // of the runs of neighbouring layers that lack the same module
    int64_t runs;     // how many such runs there are
};

struct an_searched {
    char *name;             // of the checkpoint
    int64_t row, step;      // row: of the store
    struct an_round *round; // [rounds]
    int64_t rounds;         // that are over
    int64_t shared;         // of them, left out of the last checkpoint in as many rounds, too
    double alike; // Spearman's correlation of the rounds in which both left out what both did; NaN:
                  // of fewer than three
};

struct an_search {
    char *path, *settings; // "by=js over=attn,mlp"
    char *by;              // "js"
    int64_t layers, rounds;
    struct tr_drop *candidate; // [candidates]
    int64_t candidates;
    struct an_searched *at; // [checkpoints] whose search has begun, in the store's order
    int64_t checkpoints;
};

// TR_EUSAGE when the store has no search.
enum tr_status an_search_load(struct an_search *search, const struct tr_trace *trace,
                              const char *path, struct tr_err *err);
void an_search_free(struct an_search *search); // leaves zeros

// The last checkpoint's rounds as a table, and of several how their orders differ; then what the
// words mean.
enum tr_status an_search_write(const struct an_search *search, enum an_format format, int width,
                               struct tr_string *out, struct tr_err *err);

// All of it. JSON object with "schema": "trace-search"; freed with json_decref.
enum tr_status an_search_json(json_t **value_p, const struct an_search *search, struct tr_err *err);
// What the last checkpoint's rounds left out, as struct an_result's plans are (drop_plan.h): "drop"
// in the order of the rounds. TR_EUSAGE when no search has begun.
enum tr_status an_search_plan(json_t **value_p, const struct an_search *search, struct tr_err *err);

#endif
