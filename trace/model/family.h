// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FAMILY_H
#define TR_FAMILY_H

#include <stdbool.h>

#include "ckpt/name_pattern.h"
#include "kernels/ops.h"

// Architectures as rows. A family says with flags what its block does, how config.json spells its
// sizes and which defaults its class has where the file omits a key, and how its tensors are
// called. The forward pass reads flags and never asks which family it runs.

// What config.json tells, by our name for it. Numbers and booleans only; the activation's name, the
// rotary parameters and the kinds of layers are read apart.
enum tr_key {
    TR_K_LAYERS,
    TR_K_HIDDEN,          // d, width of the residual stream
    TR_K_EMBED_DIM,       // width of the embedding's rows, refused unless it is hidden; absent: is
    TR_K_HEADS,           // query heads
    TR_K_KV_HEADS,        // key and value heads; absent: as many as query heads
    TR_K_HEAD_DIM,        // absent: hidden / heads
    TR_K_FFN,             // inner width of the MLP; absent: its ratio * hidden
    TR_K_FFN_RATIO,       // absent: 4
    TR_K_VOCABULARY,      // rows of the embedding
    TR_K_POSITIONS,       // maximum sequence length
    TR_K_EPSILON,         // of the norms
    TR_K_ROPE_THETA,      // rotary base
    TR_K_LOCAL_THETA,     // rotary base of windowed layers; absent: the same
    TR_K_ROTARY_FRACTION, // share of head_dim that turns
    TR_K_TURNING,         // entries of a head that turn: says the same as the fraction
    TR_K_ORIGINAL_LENGTH, // positions before rope scaling; absent: the rope object says
    TR_K_ROTARY_DIM,      // entries of a head that may turn; absent: head_dim
    TR_K_QKV_BIAS,        // q, k and v have biases
    TR_K_OUT_BIAS,        // the attention's output product has a bias
    TR_K_MLP_BIAS,        // the MLP's products have biases
    TR_K_HEAD_BIAS,       // the head has a bias
    TR_K_HEAD_DENSE_BIAS, // and the product before it
    TR_K_PARALLEL,        // attention and MLP share one input
    TR_K_TIED,            // the head is the embedding
    TR_K_QK_NORM,         // queries and keys are normed, as the family's qk_norm says
    TR_K_CLIP_QKV,        // (normed) queries, keys and values are clamped to +-this; 0: not
    TR_K_WINDOW,          // attention window in tokens, where a layer has one; 0: none
    TR_K_USE_WINDOW,      // false: the window is ignored
    TR_K_WINDOW_PERIOD,   // layer i sees everything where (i + 1 + window_phase) % period == 0;
                          // 0: none does
    TR_K_WINDOW_START,    // first layer that may have a window
    TR_K_WINDOW_END,      // first layer behind those that may; absent: the number of layers
    TR_K_NOPE_PERIOD,     // layer i has no rotation where (i + 1) % period == 0; 0: all rotate
    TR_K_QUERY_SCALAR,    // scores are scaled by this^-1/2; absent: head_dim
    TR_K_SCORE_SCALE,     // scores are scaled by this; absent: query scalar^-1/2
    TR_K_SCORE_SOFTCAP,   // tanh cap of the scores; 0: none
    TR_K_LAYER_SCALE,     // scores of layer i are also divided by i + 1
    TR_K_GROWS,           // queries that do not turn grow with the position, see tr_config's growth
    TR_K_GROWTH,
    TR_K_GROWTH_LENGTH,
    TR_K_EMBED_SCALE,    // the embedding is multiplied by this
    TR_K_RESIDUAL_SCALE, // what a sublayer adds is multiplied by this
    TR_K_LOGIT_SCALE,    // logits are multiplied by this
    TR_K_LOGIT_WIDTH,    // logits are multiplied by this too (muP's width multiplier)
    TR_K_LOGIT_DIVISOR,  // logits are divided by this
    TR_K_LOGIT_SOFTCAP,  // tanh cap of the logits; 0: none
    TR_K_EXPERTS,        // routed experts; 0: a dense MLP
    TR_K_EXPERTS_USED,   // of them, per token
    TR_K_EXPERT_FFN,     // inner width of an expert; absent: ffn
    TR_K_SHARED_FFN,     // inner width of the shared expert; 0: none
    TR_K_SHARED_EXPERTS, // shared experts, each as wide as a routed one; 0: none
    TR_K_GATE_LIMIT,     // see kn_gate; 0: none
    TR_K_GATE_SLOPE,
    TR_K_NORMALISE_TOP, // the weights of the experts used are scaled to sum 1
    TR_K_ROUTED_SCALE,  // the routed experts' weights are multiplied by this
    TR_K_DENSE_FIRST,   // the first layers with a dense MLP
    TR_K_SPARSE_LAST,   // the last layer that may have experts; -1: the model's last
    TR_K_AHEAD,         // layers behind the last that files may hold: they predict further
                        // tokens and are not run
    TR_K_SPARSE_STEP,   // layer i has experts where (i + sparse_phase) % step == 0
    TR_K_GROUPS,        // groups of experts, of which few are eligible per token; 0 or 1: none
    TR_K_GROUPS_USED,
    TR_K_QUERY_RANK, // latent attention: rank of the query's latent; 0: q is projected at once
    TR_K_KV_RANK,    // latent attention: rank of the key-value latent; 0: ordinary attention
    TR_K_NOPE_DIM,   // latent attention: entries of a key that do not turn
    TR_K_ROPE_DIM,   // latent attention: entries that do, shared by all key heads
    TR_K_VALUE_DIM,  // latent attention: entries of a value head
    TR_K_SCAN_HEADS, // layers that scan: heads; 0: none does, see tr_config's scan
    TR_K_SCAN_DIM,   // entries of one of them; absent: scan ratio * hidden / scan heads
    TR_K_SCAN_RATIO,
    TR_K_SCAN_GROUPS, // heads of each group share what writes and reads the state
    TR_K_SCAN_STATES, // numbers that each entry of a head keeps of what came before
    TR_K_SCAN_TAPS,   // positions that the convolution sees
    TR_K_SCAN_BIAS,   // the products have biases
    TR_K_TAPS_BIAS,   // the convolution has biases
    TR_KEYS
};

// A key without a name is fixed at its default; a key the row does not write at all is neutral (no
// bias, no window, no softcap, scale 1, as many key heads as heads ...), and so is a null.
// Defaults: a number, or one of these.
#define TR_REQUIRED (-1e300) // config.json must have it
#define TR_DERIVED (-2e300)  // computed from the others where absent

// A key with a dot is one of an object in config.json: "attn_config.alibi".
struct tr_key_row {
    const char *json; // NULL: not in config.json
    double fallback;
    const char *other; // a second spelling, which wins where both are there
    bool needed;       // a null, which would say that there is none, is refused
    bool alike;        // a list of equal numbers, one for each layer, counts as the number
};

// The tensors a family may have, as patterns of names (name_pattern.h): they hold {layer} where
// they belong to one, and {expert} or {head} where there are several; NULL: the family has no such
// tensor. Biases of products exist when the config says so. Two roles may name one tensor (a norm
// that attention and MLP share); besides, no name is of two patterns.
enum tr_weight {
    TR_W_EMBED,      // [vocabulary, hidden]
    TR_W_POSITIONS,  // [positions + position_offset, hidden], learned
    TR_W_EMBED_NORM, // norm of the embedding
    TR_W_EMBED_NORM_BIAS,
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
    TR_W_Q_NORM, // see tr_qk_norm
    TR_W_Q_NORM_BIAS,
    TR_W_K_NORM,
    TR_W_K_NORM_BIAS,
    TR_W_Q_A,       // latent attention: [query_rank, hidden]
    TR_W_Q_A_NORM,  // [query_rank]
    TR_W_Q_B,       // [heads * (nope_dim + rope_dim), query_rank]
    TR_W_KV_A,      // [kv_rank + rope_dim, hidden]
    TR_W_KV_A_NORM, // [kv_rank]
    TR_W_KV_B,      // [heads * (nope_dim + value_dim), kv_rank]
    TR_W_O,         // [hidden, heads * head_dim]
    TR_W_SINKS,     // [heads], see kn_attention
    TR_W_O_BIAS,
    TR_W_SCAN_IN, // of layers that scan: [2 * width + 2 * groups * states + heads, hidden]
    TR_W_SCAN_IN_BIAS,
    TR_W_TAPS, // [width + 2 * groups * states, 1, taps], width = scan heads * scan dim
    TR_W_TAPS_BIAS,
    TR_W_SCAN_RATE, // [scan heads]: log of how fast the state is forgotten
    TR_W_SCAN_SKIP, // [scan heads]
    TR_W_SCAN_STEP_BIAS,
    TR_W_SCAN_NORM, // [width]
    TR_W_SCAN_OUT,  // [hidden, width]
    TR_W_SCAN_OUT_BIAS,
    TR_W_ATTN_POST_NORM, // of what attention adds
    TR_W_MLP_NORM,
    TR_W_MLP_NORM_BIAS,
    TR_W_GATE_UP, // fused: [gate | up], [2 * ffn, hidden]
    TR_W_GATE_UP_BIAS,
    TR_W_GATE, // [ffn, hidden], gated MLPs only
    TR_W_GATE_BIAS,
    TR_W_UP, // [ffn, hidden]
    TR_W_UP_BIAS,
    TR_W_DOWN, // [hidden, ffn]
    TR_W_DOWN_BIAS,
    TR_W_ALPHA_P, // xIELU's parameters, [1] or []
    TR_W_ALPHA_N,
    TR_W_ROUTER,            // [experts, hidden]
    TR_W_ROUTER_BIAS,       // [experts]
    TR_W_ROUTER_CORRECTION, // [experts] or [1, experts], see sigmoid_router
    TR_W_EXPERT_GATE,       // [expert_ffn, hidden]
    TR_W_EXPERT_UP,
    TR_W_EXPERT_DOWN, // [hidden, expert_ffn]
    // All experts of a layer in one tensor: gate and up, [experts, hidden, 2 * expert_ffn]
    // and [experts, 2 * expert_ffn]; [experts, expert_ffn, hidden] and [experts, hidden].
    TR_W_EXPERTS_IN,
    TR_W_EXPERTS_IN_BIAS,
    TR_W_EXPERTS_OUT,
    TR_W_EXPERTS_OUT_BIAS,
    TR_W_SHARED_GATE, // [shared_ffn, hidden]
    TR_W_SHARED_UP,
    TR_W_SHARED_DOWN,
    TR_W_SHARED_SWITCH, // [1, hidden]: the shared expert's output is multiplied by its sigmoid
    TR_W_MLP_POST_NORM, // of what the MLP adds
    TR_W_FINAL_NORM,
    TR_W_FINAL_NORM_BIAS,
    TR_W_HEAD_DENSE, // [hidden, hidden]: the head reads norm(act(dense(the normed stream)))
    TR_W_HEAD_DENSE_BIAS,
    TR_W_HEAD_NORM,
    TR_W_HEAD, // [vocabulary, hidden], unless tied
    TR_W_HEAD_BIAS,
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

// How queries and keys are normed, where TR_K_QK_NORM says they are.
enum tr_qk_norm {
    TR_QK_PER_HEAD,     // each head alone, one weight [head_dim] for all
    TR_QK_PER_HEAD_OWN, // each head alone, a weight [heads, head_dim]
    TR_QK_EACH_TENSOR,  // as before, but a tensor [head_dim] for each head
    TR_QK_FULL_WIDTH    // all heads together, weight [heads * head_dim]
};

// How the sequence's order enters.
enum tr_position {
    TR_ROTARY,           // queries and keys turn
    TR_LEARNED,          // a table is added to the embedding
    TR_ALIBI,            // scores fall with distance
    TR_ALIBI_SCALED_BF16 // ALiBi rounded to bf16, added before the scores are scaled
};

// Which rope objects of config.json the class reads.
enum tr_rope_objects {
    TR_ROPE_EITHER,          // rope_parameters and rope_scaling, as transformers 5
    TR_ROPE_PARAMETERS_ONLY, // what rope_scaling means differs between versions of the class
    TR_ROPE_SCALING_ONLY,    // code beside the weights, written before rope_parameters
    TR_ROPE_NONE             // the same, and it knows no scaling
};

// A condition on config.json: the key's value (a number, or a boolean as 0 and 1) is `value`; an
// absent key counts as `fallback`. key NULL: always true. TR_OTHER for `value`: any but `fallback`.
#define TR_OTHER (-3e300)
struct tr_condition {
    const char *key;
    double value, fallback;
};

// A key of config.json with a word, of which the family runs one value: another is refused by name.
// An absent key counts as `fallback`.
struct tr_word {
    const char *key, *value, *fallback;
};

enum { TR_MAX_REFUSALS = 9, TR_MAX_WORDS = 3, TR_MAX_UNREAD = 3 };

struct tr_family {
    const char *model_type;   // config.json's "model_type"
    const char *also;         // another model_type of files of this layout; NULL: none
    const char *series;       // published series of this type, for the docs
    const char *training;     // those whose training is published step by step; NULL: none
    bool tokenizer_read;      // whether their tokenizers are of kinds that are read and tested
    const char *prefix;       // that files may put before the tensors' names or not; NULL: none
    struct tr_condition when; // which of several rows of one model_type applies
    // Configurations that are refused, with the reason: what has no residual add we could measure.
    struct {
        struct tr_condition when;
        const char *reason;
    } refusals[TR_MAX_REFUSALS];
    struct tr_word words[TR_MAX_WORDS];
    const char *unread[TR_MAX_UNREAD]; // keys that ask for what is not run, unless null or empty
    enum kn_norm_kind norm;            // of all norms but those of queries and keys
    enum kn_norm_kind qk_kind;         // of those
    bool parallel_shares_norm; // in a parallel residual the MLP reads what attention's norm gives
    bool first_attn_bare;      // the first layer's attention reads the stream without a norm
    bool no_pre_norm;          // sublayers read the stream as it is (their output is normed)
    bool norm_plus_one;        // norm weights are stored minus 1
    enum tr_qk_norm qk_norm;
    bool embedding_normed;     // the embedding is normed without weights
    bool qk_norm_turned;       // queries and keys are normed once they have turned, not before
    bool qk_norm_where_turned; // and in layers that rotate only
    enum tr_qkv_layout qkv;
    enum tr_position position;
    int position_offset; // learned positions start at this row of their table
    enum kn_rope_kind rope;
    enum tr_rope_objects rope_objects;
    unsigned rope_types;          // scalings that the class knows, 1 << enum tr_rope_type; 0: all
    bool turns_back;              // by the negative of the angle
    bool rope_full_layers_scaled; // rope scaling is for layers without a window only
    const char *rope_fallback;    // the class's rope object, as JSON, where config.json has none
    bool window_where_still;      // only layers without rotation have a window
    bool window_where_turned;     // only layers with rotation have one
    bool window_is_chunk;         // TR_K_WINDOW is the length of chunks, see kn_attention
    int window_phase;             // see TR_K_WINDOW_PERIOD
    bool window_both_sides;       // TR_K_WINDOW counts tokens on both sides, of which half are seen
    bool windows_by_attention_layers; // that list has a word for each layer, not layer_types
    bool turns_where_windowed;        // of a model with windows only layers with one rotate
    bool rope_alpha;               // "alpha" of the type "dynamic" stretches the base once for all
    bool gated;                    // the MLP is act(gate) * up, not act(up)
    bool up_first;                 // the fused tensor of both is [up | gate], not [gate | up]
    bool ffn_counts_gate;          // TR_K_FFN is the width of gate and up together
    bool transposed;               // block matrices are stored [in, out]
    struct tr_condition unit_head; // where it holds, the head's rows are scaled to length 1
    bool scores_follow_rope;       // scores are multiplied by rope's score_scale (DeepSeek's YaRN)
    bool score_per_dim;            // scores are divided by the head size, not by its root (muP)
    bool embed_scale_sqrt;         // the embedding is multiplied by sqrt(hidden)
    bool residual_by_depth;        // TR_K_RESIDUAL_SCALE is divided by sqrt(layers)
    bool logits_by_width;          // logits are divided by hidden
    int sparse_phase;              // see TR_K_SPARSE_STEP
    // Experts' weights are sigmoids of the router's logits, not their softmax. With a correction
    // added, where the family has one, these choose groups, by the sum of the two best of each, and
    // experts; without it they weigh.
    bool sigmoid_router;
    bool correction_is_row; // it is stored as [1, experts]
    bool block_sizes;       // config.json's "block_configs" says sizes of single layers
    bool weighs_input;      // an expert's weight multiplies what it reads, not what it adds
    bool experts_halved;    // TR_W_EXPERTS_IN is [gate | up], not gate and up in turn
    const char *activation_key;
    const char *activation;          // the class default
    bool gelu_is_tanh;               // "gelu" under that key means the tanh form
    const char *activation_override; // a key that wins where it is not null
    const char *head_activation_key; // of the product before the head
    const char *head_activation;     // the class default
    struct tr_key_row keys[TR_KEYS];
    const char *weights[TR_WEIGHTS];
};

// Row `index`, NULL past the last; for look-up, lists and docs. A model_type may have several rows,
// tried in order of the table.
const struct tr_family *tr_family_at(int index);

// The first row of a model_type, NULL when there is none.
const struct tr_family *tr_family_find(const char *model_type);

// The model_type of a class that config.json's "architectures" names ("GPTNeoXForCausalLM"), NULL
// when no row's is meant.
const char *tr_family_of_class(const char *name);

// The number of a row in the table.
int tr_family_index(const struct tr_family *family);

// The role of the tensor of that name, and the numbers in it; with or without the family's prefix.
// TR_WEIGHTS when it is none of the family's, else the first of the roles that share the name.
enum tr_weight tr_family_match(const struct tr_family *family, const char *name,
                               struct tr_name_numbers *numbers);

// The known model_type that is spelled most like `model_type`; never NULL.
const char *tr_family_nearest(const char *model_type);

#endif
