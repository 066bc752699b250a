// SPDX-License-Identifier: Apache-2.0
#ifndef TR_DROP_CONFIG_H
#define TR_DROP_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "model/config.h"

// Which sublayers a model's config.json leaves out. Spellings:
//   drop_attn_list, drop_mlp_list: layer numbers, or a boolean for each layer, mixed (LLM-Drop)
//   per_layer_config: {"6": {"skip": ["attention", "mlp"]}}, layers as text (transformers 5)
//   block_configs: for each layer {"attention": {"no_op": true}, "ffn": {"no_op": true}}
// A null, an empty list or an absent key drops nothing; several spellings add up.
struct tr_drop_lists {
    bool attention[TR_MAX_LAYERS], mlp[TR_MAX_LAYERS];
    int64_t count; // of sublayers dropped
};

// Reads the lists of a model of `layers` layers; `sizes`: block_configs may also say sizes, which
// tr_block_sizes_read reads. TR_EFORMAT, naming the key, for what is no such
// list or names a layer that is not there; TR_EUNSUPPORTED for layers that differ otherwise.
enum tr_status tr_drop_lists_read(struct tr_drop_lists *lists, const json_t *root, int64_t layers,
                                  bool sizes, const char *path, struct tr_err *err);

// What block_configs says of the sizes of the sublayers that are there: query heads that share a
// key head ("n_heads_in_group"), and the MLP's width, as such ("intermediate_size") or by
// "ffn_mult": 2/3 of it times the hidden size, down to an integer, then up to a multiple of 256.
// The largest become the model's. TR_EFORMAT for sizes that cannot be.
enum tr_status tr_block_sizes_read(struct tr_config *config, const json_t *root, const char *path,
                                   struct tr_err *err);

#endif
