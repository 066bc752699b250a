// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SEARCH_BOOKMARKS_H
#define TR_SEARCH_BOOKMARKS_H

#include "kernels/backend.h"
#include "run/cost_pass.h"
#include "run/search_plan.h"

// Streams that are kept from round to round. The stream of a candidate at the entry of a block does
// not change by what is left out in that block or behind it: so after a round that left out
// something of block l, each candidate of an earlier block goes on at l, or at the last block
// before it whose stream is kept. A block that the whole model lacks is never entered, and its
// stream is not kept. There is an owner for each candidate of the plan, and one more, number
// `count`, for the set that is left out so far. Private to this folder.
struct tr_search_bookmarks {
    struct kn_backend *kn;
    const struct tr_search_plan *plan;
    int64_t layers, stride; // blocks whose number is a multiple of the stride are kept; 0: none is
    float ***at;            // [count + 1][layers]
    void **memory;          // [count + 1]
    int64_t *limit; // [count + 1] the last block whose stream still holds; those before it, too
};

// Bytes that they take with a stride, for so many tokens.
double tr_search_bookmarks_bytes(const struct tr_search_plan *plan, const struct tr_config *config,
                                 int64_t stride, double tokens);

enum tr_status tr_search_bookmarks_new(struct tr_search_bookmarks *marks, struct kn_backend *kn,
                                       const struct tr_search_plan *plan,
                                       const struct tr_config *config, int64_t stride,
                                       int64_t tokens, struct tr_err *err);
void tr_search_bookmarks_free(struct tr_search_bookmarks *marks);

// Where `owner` goes on, not behind block `latest`; 0: nowhere.
struct tr_bookmarks tr_search_bookmarks_of(const struct tr_search_bookmarks *marks, int64_t owner,
                                           int64_t latest);
// A pass has filled what lies behind where an owner began; the rows are others; a round has left
// out a candidate.
void tr_search_bookmarks_fill(struct tr_search_bookmarks *marks, int64_t owner);
void tr_search_bookmarks_forget(struct tr_search_bookmarks *marks);
void tr_search_bookmarks_drop(struct tr_search_bookmarks *marks, int64_t candidate);

#endif
