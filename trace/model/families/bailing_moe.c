// SPDX-License-Identifier: Apache-2.0
// Ling of 2025: its first class, whose router is a softmax, and its second, whose router is
// deepseek_v3's and whose files say the number of groups.
#include "common.h"
#include "model/rope.h"

#define BAILING                                                                                    \
    .norm = KN_RMS_NORM, .qkv = TR_QKV_CONCATENATED, .gated = true,                                \
    .activation_key = "hidden_act", .activation = "silu"

#define BAILING_KEYS                                                                               \
    TR_SIZES_AS_LLAMA, [TR_K_KV_HEADS] = {"num_key_value_heads", TR_REQUIRED},                     \
                       [TR_K_QKV_BIAS] = {"use_qkv_bias", false},                                  \
                       [TR_K_EXPERTS_USED] = {"num_experts_per_tok", TR_REQUIRED},                 \
                       [TR_K_EXPERT_FFN] = {"moe_intermediate_size", TR_REQUIRED},                 \
                       [TR_K_TIED] = {"tie_word_embeddings", false}

#define BAILING_WEIGHTS                                                                            \
    TR_ATTENTION_AS_LLAMA, TR_MLP_AS_LLAMA, TR_EXPERTS_AS_QWEN,                                    \
        [TR_W_EMBED] = "model.word_embeddings.weight", [TR_W_Q] = NULL, [TR_W_K] = NULL,           \
        [TR_W_V] = NULL, [TR_W_Q_BIAS] = NULL, [TR_W_K_BIAS] = NULL, [TR_W_V_BIAS] = NULL,         \
        [TR_W_QKV] = "model.layers.{layer}.attention.query_key_value.weight",                      \
        [TR_W_QKV_BIAS] = "model.layers.{layer}.attention.query_key_value.bias",                   \
        [TR_W_O] = "model.layers.{layer}.attention.dense.weight",                                  \
        [TR_W_O_BIAS] = "model.layers.{layer}.attention.dense.bias",                               \
        [TR_W_SHARED_GATE] = "model.layers.{layer}.mlp.shared_experts.gate_proj.weight",           \
        [TR_W_SHARED_UP] = "model.layers.{layer}.mlp.shared_experts.up_proj.weight",               \
        [TR_W_SHARED_DOWN] = "model.layers.{layer}.mlp.shared_experts.down_proj.weight"

const struct tr_family tr_family_bailing_moe_v2 = {
    BAILING,
    .model_type = "bailing_moe",
    .series = "Ling 2.0 (mini, flash, 1T)",
    .training = "Ling-mini-base-2.0",
    .tokenizer_read = true,
    .when = {"n_group", TR_OTHER, 0},
    .refusals = {{{"moe_router_enable_expert_bias", false, true}, "a router without a correction"},
                 {{"num_experts_per_tok", 1, 8}, "one routed expert per token"},
                 {{"norm_topk_prob", false, true}, "experts' weights that do not sum to 1"}},
    .words = {{"score_function", "sigmoid", "sigmoid"}},
    .qk_kind = KN_RMS_NORM,
    .qk_norm = TR_QK_PER_HEAD,
    .rope_objects = TR_ROPE_SCALING_ONLY,
    .rope_types = 1 << TR_ROPE_LINEAR | 1 << TR_ROPE_DYNAMIC,
    .sigmoid_router = true,
    .keys =
        {
            BAILING_KEYS,
            [TR_K_POSITIONS] = {"max_position_embeddings", 32768},
            [TR_K_HEAD_DIM] = {"head_dim", 128},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rope_theta", 600000},
            [TR_K_ROTARY_FRACTION] = {"partial_rotary_factor", TR_REQUIRED},
            [TR_K_TURNING] = {"rotary_dim", TR_DERIVED},
            [TR_K_OUT_BIAS] = {"use_bias", false},
            [TR_K_QK_NORM] = {"use_qk_norm", true},
            [TR_K_EXPERTS] = {"num_experts", 256},
            [TR_K_SHARED_EXPERTS] = {"num_shared_experts", 1},
            [TR_K_NORMALISE_TOP] = {NULL, true},
            [TR_K_ROUTED_SCALE] = {"routed_scaling_factor", 1},
            [TR_K_DENSE_FIRST] = {"first_k_dense_replace", 1},
            [TR_K_AHEAD] = {"num_nextn_predict_layers", 0},
            [TR_K_GROUPS] = {"n_group", TR_REQUIRED},
            [TR_K_GROUPS_USED] = {"topk_group", TR_REQUIRED},
        },
    .weights =
        {BAILING_WEIGHTS, [TR_W_Q_NORM] = "model.layers.{layer}.attention.query_layernorm.weight",
         [TR_W_K_NORM] = "model.layers.{layer}.attention.key_layernorm.weight",
         [TR_W_ROUTER_CORRECTION] = "model.layers.{layer}.mlp.gate.expert_bias"},
};

const struct tr_family tr_family_bailing_moe = {
    BAILING,
    .model_type = "bailing_moe",
    .series = "Ling-lite, Ling-plus",
    .tokenizer_read = true,
    .refusals = {{{"norm_head", true, false}, "a head of normed columns"},
                 {{"use_sliding_window", true, false}, "attention windows"},
                 {{"use_qk_norm", true, false}, "norms of queries and keys"},
                 {{"multi_gate", true, false}, "a router for each kind of input"}},
    .words = {{"score_function", "softmax", "softmax"}},
    .rope_objects = TR_ROPE_NONE,
    .keys =
        {
            BAILING_KEYS,
            [TR_K_POSITIONS] = {"max_position_embeddings", 16384},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_OUT_BIAS] = {"use_bias", true},
            [TR_K_EXPERTS] = {"num_experts", 16},
            [TR_K_SHARED_EXPERTS] = {"num_shared_experts", 0},
            [TR_K_NORMALISE_TOP] = {"norm_topk_prob", true},
            [TR_K_DENSE_FIRST] = {"first_k_dense_replace", 0},
        },
    .weights = {BAILING_WEIGHTS},
};
