// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SUBLAYER_SIZES_H
#define TR_SUBLAYER_SIZES_H

#include "base/strings.h"
#include "model/config.h"

// What each sublayer takes, for whoever plans under a budget without the model at hand: the text of
// the store's attribute "sizes", a JSON object with
//   "weight_bytes"  bytes of one stored parameter
//   "elsewhere"     parameters of the embedding and head
//   "head"          floating-point operations of the head, a token
//   "sublayers"     [{"module", "first", "last", "parameters", "met", "kept", "key", "window"}...],
// one entry for neighbouring layers that are alike: parameters of its matrices, those of them that
// one token meets (experts), values that a token keeps in the cache, operations of a token with one
// key, and how many keys it sees at most (0: all), with "chunks": true where it sees none before
// its chunk of so many. Absent sublayers have no entry. Latent attention keeps its compressed form.
// Appends to `out`.
enum tr_status tr_sublayer_sizes_text(const struct tr_config *config,
                                      const struct tr_drop_set *drop, int64_t weight_bytes,
                                      struct tr_string *out, struct tr_err *err);

#endif
