// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CONFIG_H
#define TR_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/drop_set.h"
#include "base/status.h"
#include "base/strings.h"
#include "model/family.h"
#include "model/rope.h"

// A model's shape, read from config.json through its family's row: everything the forward pass
// needs to know besides the weights. Plain data: it may be copied and compared as bytes. All sizes
// are positive and their products checked.

enum { TR_MAX_LAYERS = 1024, TR_MAX_EXPERTS = 4096, TR_MAX_EXPERT_GROUPS = 1024 };

// Bits that say what is special about one layer.
enum tr_layer_flag {
    TR_LAYER_WINDOWED = 1, // attention sees `window` tokens only
    TR_LAYER_NOPE = 2,     // no rotation of queries and keys
    TR_LAYER_EXPERTS = 4,  // the MLP is a mixture of experts
    TR_LAYER_NO_ATTN = 8,  // config.json leaves the sublayer out
    TR_LAYER_NO_MLP = 16,
    TR_LAYER_SCAN = 32 // a selective state space in attention's place
};

// Bits that say what people should be told of a checkpoint that is run all the same.
enum tr_remark {
    TR_REMARK_TWO_ROPES = 1, // rope_scaling beside another rope_parameters
    TR_REMARK_OWN_HEAD = 2,  // a head beside tie_word_embeddings
    TR_REMARK_DROPPED = 4,   // sublayers that are left out
    TR_REMARK_OTHERS = 8     // tensors of something else
};

struct tr_config {
    const struct tr_family *family;
    int64_t layers, hidden, heads, kv_heads, ffn, vocabulary, positions;
    int64_t ahead;         // layers behind the last that files may hold and that are not run
    int64_t table_rows;    // of the embedding and head in the file, of which `vocabulary` are used
    int64_t qk_dim, v_dim; // entries of a query or key head, and of a value head
    float epsilon;
    bool qkv_bias, out_bias, mlp_bias, head_bias, head_dense_bias, parallel, tied, qk_norm;
    bool multipliers, norm_multipliers; // learned ones are there
    bool unit_head;                     // the head's rows are scaled to length 1
    float clip_qkv;                     // 0: none
    int64_t window;
    bool chunks; // the window is as long as chunks, see kn_attention
    float score_scale, score_softcap;
    bool layer_scale;
    // Queries of layers without rotation are multiplied by 1 + growth * log(1 + floor((position +
    // 1) / growth_length)) (arXiv 2501.19399); growth_length 0: they are not.
    int64_t growth_length;
    float growth;
    float embed_scale, residual_scale, logit_scale, logit_softcap;
    // Latent attention (kv_rank > 0); rope_dim is the part of qk_dim that turns.
    int64_t query_rank, kv_rank, nope_dim, rope_dim;
    // Experts (experts > 0).
    int64_t experts, experts_used, expert_ffn, shared_ffn, groups, groups_used;
    bool normalise_top;
    float routed_scale;
    float gate_limit, gate_slope; // of gated MLPs, see kn_gate
    // Layers that scan (scan.heads > 0); scan.width = heads * dim.
    struct {
        int64_t heads, dim, width, groups, states, taps;
        bool bias, taps_bias;
        float step_low, step_high; // bounds of a step of time
    } scan;
    struct tr_rope rope[2]; // of layers that see everything, of windowed layers
    enum kn_activation activation, head_activation;
    uint32_t remarks;        // enum tr_remark
    int32_t end_of_sequence; // the first eos_token_id, -1 when the file has none
    uint8_t layer[TR_MAX_LAYERS];
    // Where a layer's are others than the model's, which then are the largest; 0: they are not.
    int32_t layer_ffn[TR_MAX_LAYERS], layer_kv_heads[TR_MAX_LAYERS];
};

// Parses config.json's bytes; `path` opens each sentence. TR_EUNSUPPORTED names what is not run
// (model_type, activation, rope type, quantization) and what is known; TR_EFORMAT is for values
// that make no sense.
enum tr_status tr_config_parse(struct tr_config *config, const char *json, size_t size,
                               const char *path, struct tr_err *err);

// Notes that the files hold a head of their own, though config.json may say that it is tied.
void tr_config_note_head(struct tr_config *config, bool own);

// A line for each remark.
enum tr_status tr_config_remarks(const struct tr_config *config, struct tr_string *text,
                                 struct tr_err *err);

static inline int64_t tr_config_ffn(const struct tr_config *c, int layer) {
    return c->layer_ffn[layer] ? c->layer_ffn[layer] : c->ffn;
}
static inline int64_t tr_config_kv_heads(const struct tr_config *c, int layer) {
    return c->layer_kv_heads[layer] ? c->layer_kv_heads[layer] : c->kv_heads;
}
// Columns of the query heads and of so many key and value heads side by side, and of the
// attention's mixed values.
static inline int64_t tr_config_qkv_rows(const struct tr_config *c, int64_t kv_heads) {
    return (c->heads + kv_heads) * c->qk_dim + kv_heads * c->v_dim;
}
static inline int64_t tr_config_mixed_cols(const struct tr_config *c) {
    return c->heads * c->v_dim;
}
// Columns that the convolution of a layer that scans sees, and rows of that layer's first product.
static inline int64_t tr_config_taps_cols(const struct tr_config *c) {
    return c->scan.width + 2 * c->scan.groups * c->scan.states;
}
static inline int64_t tr_config_scan_rows(const struct tr_config *c) {
    return c->scan.width + tr_config_taps_cols(c) + c->scan.heads;
}
// Rows of the first product of an MLP of inner width ffn.
static inline int64_t tr_config_in_rows(const struct tr_config *c, int64_t ffn) {
    return c->family->gated ? 2 * ffn : ffn;
}
// Whether a learned correction takes part in the choice of experts.
static inline bool tr_config_corrects(const struct tr_config *c) {
    return c->experts && c->family->weights[TR_W_ROUTER_CORRECTION];
}
static inline bool tr_config_has(const struct tr_config *c, int layer, enum tr_layer_flag flag) {
    return (c->layer[layer] & flag) != 0;
}
// Whether the layer has the sublayer, as config.json says and with those of `drop` left out.
static inline bool tr_config_keeps(const struct tr_config *c, const struct tr_drop_set *drop,
                                   enum tr_module sublayer, int layer) {
    return !tr_config_has(c, layer, sublayer == TR_ATTN ? TR_LAYER_NO_ATTN : TR_LAYER_NO_MLP) &&
           !tr_drop_set_has(drop, sublayer, layer);
}

// Whether a layer's attention reads the norm of the stream, not the stream itself.
static inline bool tr_config_norms_attn(const struct tr_config *c, int layer) {
    return !c->family->no_pre_norm && !(c->family->first_attn_bare && layer == 0);
}

// Tokens of the longest sequence: all positions, times the factor where rope scaling is dynamic.
int64_t tr_config_longest(const struct tr_config *config);

#endif
