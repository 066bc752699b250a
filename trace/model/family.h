// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FAMILY_H
#define TR_FAMILY_H

#include <math.h>
#include <stdbool.h>

#include "kernels.h"

// Architectures as rows. A family says with flags what its block does, how config.json spells its
// sizes and which defaults its class has where the file omits a key, and how its tensors are
// called. The forward pass reads flags and never asks which family it runs.

// What config.json tells, by our name for it. Numbers and booleans only; the activation, which is a
// string, and the rotary parameters, which come in two spellings, are read apart.
enum tr_key {
    TR_K_LAYERS,
    TR_K_HIDDEN,          // d, width of the residual stream
    TR_K_HEADS,           // query heads
    TR_K_KV_HEADS,        // key and value heads; absent: as many as query heads
    TR_K_HEAD_DIM,        // absent: hidden / heads
    TR_K_FFN,             // inner width of the MLP
    TR_K_VOCABULARY,      // rows of the embedding
    TR_K_POSITIONS,       // maximum sequence length
    TR_K_EPSILON,         // of the norms
    TR_K_ROPE_THETA,      // rotary base
    TR_K_ROTARY_FRACTION, // share of head_dim that turns
    TR_K_ATTENTION_BIAS,  // q, k, v and o have biases
    TR_K_MLP_BIAS,        // the MLP's products have biases
    TR_K_PARALLEL,        // attention and MLP share one input
    TR_K_TIED,            // the head is the embedding
    TR_KEYS
};

// A key without a name is fixed at its default. Defaults: a number, or one of these, which JSON
// cannot write.
#define TR_REQUIRED (-INFINITY) // config.json must have it
#define TR_DERIVED INFINITY     // computed from the others where absent

struct tr_key_row {
    const char *json; // NULL: not in config.json
    double fallback;
};

// The tensors a family may have. Patterns hold one %d, the layer, where they belong to one; NULL:
// the family has no such tensor. Biases of products exist when the config says so.
enum tr_weight {
    TR_W_EMBED, // [vocabulary, hidden]
    TR_W_ATTN_NORM,
    TR_W_ATTN_NORM_BIAS,
    TR_W_QKV, // fused, see tr_qkv_layout
    TR_W_QKV_BIAS,
    TR_W_Q, // [heads * head_dim, hidden]
    TR_W_Q_BIAS,
    TR_W_K, // [kv_heads * head_dim, hidden]
    TR_W_K_BIAS,
    TR_W_V,
    TR_W_V_BIAS,
    TR_W_O, // [hidden, heads * head_dim]
    TR_W_O_BIAS,
    TR_W_MLP_NORM,
    TR_W_MLP_NORM_BIAS,
    TR_W_GATE, // [ffn, hidden], gated MLPs only
    TR_W_GATE_BIAS,
    TR_W_UP, // [ffn, hidden]
    TR_W_UP_BIAS,
    TR_W_DOWN, // [hidden, ffn]
    TR_W_DOWN_BIAS,
    TR_W_FINAL_NORM,
    TR_W_FINAL_NORM_BIAS,
    TR_W_HEAD, // [vocabulary, hidden], unless tied
    TR_WEIGHTS
};

// How the rows of a fused qkv tensor are grouped; all are brought to [q heads | k heads | v heads]
// when the weights are bound.
enum tr_qkv_layout {
    TR_QKV_SEPARATE,     // three tensors
    TR_QKV_CONCATENATED, // [q | k | v]
    TR_QKV_PER_HEAD,     // head by head [q, k, v]
    TR_QKV_PER_KV_HEAD   // key head by key head [its q heads, k, v]
};

struct tr_family {
    const char *model_type;     // config.json's "model_type"
    const char *series;         // published series of this type, for the docs
    enum kn_norm_kind norm;     // of all norms
    enum tr_qkv_layout qkv;     // layout of the query, key and value projection
    bool gated;                 // the MLP is act(gate) * up, not act(up)
    const char *activation_key; // config key of the activation's name
    const char *activation;     // the class default
    struct tr_key_row keys[TR_KEYS];
    const char *weights[TR_WEIGHTS];
};

// The row of a model_type, NULL when there is none.
const struct tr_family *tr_family_find(const char *model_type);

// Row `index`, NULL past the last; for lists and docs.
const struct tr_family *tr_family_at(int index);

// The known model_type that is spelled most like `model_type`; never NULL.
const char *tr_family_nearest(const char *model_type);

#endif
