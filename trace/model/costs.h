// SPDX-License-Identifier: Apache-2.0
#ifndef TR_COSTS_H
#define TR_COSTS_H

#include "base/module.h"
#include "model/config.h"
#include "model/weights.h"

// What a model costs by its shape: counted, not measured.

// Parameters of the matrices of one layer's sublayer (TR_BLOCK: of both); `used`: only those that
// one token meets (experts).
double tr_sublayer_parameters(const struct tr_config *config, enum tr_module module, int layer,
                              bool used);

// Of the whole model: embedding, blocks, head if untied.
double tr_config_parameters(const struct tr_config *config);

// Floating-point operations of the forward pass over `tokens` tokens in rows of `seq_len`: 2 per
// weight met and token, causal attention within the windows; what is not wanted costs nothing.
double tr_config_flops(const struct tr_config *config, double tokens, int64_t seq_len,
                       const struct tr_wanted *wanted);

// Of the model without the sublayers of `removed`, from block `first` on.
double tr_kept_flops(const struct tr_config *config, double tokens, int64_t seq_len,
                     const struct tr_wanted *wanted, const struct tr_drop_set *removed,
                     int64_t first);

// Of one token behind a cache of which it sees `keys`: attention over latents is not expanded.
double tr_step_flops(const struct tr_config *config, int64_t keys, const struct tr_wanted *wanted,
                     const struct tr_drop_set *removed);

// Of the model without the sublayers of `removed`, from the first of them on that `from` has not
// (NULL: the whole model): what comes before is known.
double tr_removal_flops(const struct tr_config *config, double tokens, int64_t seq_len,
                        const struct tr_wanted *wanted, const struct tr_drop_set *removed,
                        const struct tr_drop_set *from);

#endif
