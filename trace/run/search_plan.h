// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SEARCH_PLAN_H
#define TR_SEARCH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/drop_set.h"
#include "base/strings.h"
#include "measure/measures.h"
#include "model/costs.h"

// What a greedy search leaves out of a model, and by what: in every round each candidate that is
// left is left out beside those of the rounds before, and the one with the lowest value stays out
// (of equal ones the first): D_0 = {}, D_k+1 = D_k + argmin over u of value(D_k + u). Values are of
// the model without D_k + u on the whole calibration, beside the whole model:
//   nll       mean next-token loss, as SLEB (arXiv 2402.09025) and BlockPruner (arXiv 2406.10594)
//             rank: perplexity is its exponential
//   kl        KL(whole || without) of the next token
//   js        the Jensen-Shannon divergence of both
//   angle, euclid   angle and Euclidean distance of the logits
//   finercut  what the code of FinerCut (arXiv 2405.18218) computes as js_divergence: half of
//             KL(m || whole) + KL(m || without), m their mean, by element: over the vocabulary, too
enum tr_search_by {
    TR_BY_NLL,
    TR_BY_KL,
    TR_BY_JS,
    TR_BY_ANGLE,
    TR_BY_EUCLID,
    TR_BY_FINERCUT,
    TR_SEARCH_BYS
};

// By names: "js"; -1 when there is none.
int tr_search_by_find(const char *word);
extern const char *const tr_search_by_names[TR_SEARCH_BYS];
// What of a removal it is, and what the mean over a sequence is divided by.
enum tr_quantity tr_search_quantity(enum tr_search_by by);
double tr_search_divisor(enum tr_search_by by, const struct tr_config *config);
// Whether the head's panels are gone through once more.
bool tr_search_compares(enum tr_search_by by);

// What is asked for, as words of a command line. Borrowed.
struct tr_search_wishes {
    enum tr_search_by by;
    const char *over;                 // "attn", "mlp", "attn,mlp" or "block"
    int64_t count;                    // rounds, 0: as many as there are candidates
    bool protect_first, protect_last; // layers that stay
    const char *order; // a drop set, or @FILE: what each round leaves out, whatever the values say;
                       // NULL: the lowest
};

// Zeros: no search.
struct tr_search_plan {
    enum tr_search_by by;
    struct tr_drop *candidates; // [count] by layer, attention before the MLP
    int64_t count, rounds;
    int64_t *order; // [rounds] of the candidates; NULL: the lowest
};

// The candidates of a model without the sublayers of `drop`. TR_EUSAGE where the words make no
// sense, or more rounds are asked for than there are candidates.
enum tr_status tr_search_plan_new(struct tr_search_plan *plan,
                                  const struct tr_search_wishes *wishes,
                                  const struct tr_config *config, const struct tr_drop_set *drop,
                                  struct tr_err *err);
void tr_search_plan_free(struct tr_search_plan *plan); // leaves zeros

// Appends "by=js over=attn,mlp protect=first,last order=attn:9,8": what makes searches comparable.
enum tr_status tr_search_text(const struct tr_search_wishes *wishes, struct tr_string *text,
                              struct tr_err *err);
// Appends a candidate as text: "attn:6".
enum tr_status tr_search_candidate_text(const struct tr_drop *candidate, struct tr_string *text,
                                        struct tr_err *err);

// Floating-point operations of a search on so many tokens whose rounds drop order[rounds], on one
// rank with room for all candidates: each from where it leaves the set so far, that set once a
// round, and the whole model once and its head in every round. And those of a loop over candidates
// that skips dropped sublayers and computes each candidate from the first layer, its head once.
// blocks_done, blocks_skipping: the same without the heads.
struct tr_search_flops {
    double done, skipping, blocks_done, blocks_skipping;
    double evaluations;
};
enum tr_status tr_search_flops(struct tr_search_flops *flops, const struct tr_search_plan *plan,
                               const int64_t *order, const struct tr_config *config, double tokens,
                               int64_t seq_len, const struct tr_drop_set *drop, struct tr_err *err);

// The order that costs most: attention before MLPs, each from the last layer to the first.
// order[plan->rounds].
void tr_search_costly_order(const struct tr_search_plan *plan, int64_t *order);

#endif
