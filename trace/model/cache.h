// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CACHE_H
#define TR_CACHE_H

#include "base/drop_set.h"
#include "kernels/backend.h"
#include "model/config.h"

// Keys and values of tokens that a model has seen, so that the next token's attention needs no more
// than its own: of each layer whose attention is kept [sequences, slots, heads of keys] and the
// same of values, of the activation type, rotated and normed as attention reads them. A layer with
// a window keeps as many slots as the window is wide, over which positions go round. Of latent
// attention it is [sequences, slots, kv_rank + rope_dim] alone: the normed latent and the rotated
// key that all heads share, which are keys and values of one head once queries have met what
// expands them.
struct tr_cache;

// Room for so many sequences of so many tokens; without the attention that `drop` (NULL: none)
// leaves out.
enum tr_status tr_cache_new(struct tr_cache **cache_p, struct kn_backend *kn,
                            const struct tr_config *config, const struct tr_drop_set *drop,
                            int64_t sequences, int64_t positions, struct tr_err *err);
void tr_cache_free(struct tr_cache *cache); // accepts NULL

// Bytes of the backend that it takes, by the same formula.
double tr_cache_bytes(const struct kn_backend *kn, const struct tr_config *config,
                      const struct tr_drop_set *drop, int64_t sequences, int64_t positions);

// Where the rows of a pass stand in a cache.
struct tr_cached_rows {
    struct tr_cache *cache;
    const int32_t *sequences; // [rows]: of the cache, each at most once
    const int32_t *positions; // [rows]: of the first token
    const int64_t *counts;    // [rows]: tokens; what a row has behind them leaves nothing behind
};

#endif
