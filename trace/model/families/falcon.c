// SPDX-License-Identifier: Apache-2.0
// Four kinds of one model_type. All but Falcon-RW are rotary and parallel.
#include "common.h"

#define COMMON                                                                                     \
    .model_type = "falcon", .prefix = "transformer.", .norm = KN_LAYER_NORM,                       \
    .activation_key = "activation", .activation = "gelu"

#define COMMON_KEYS                                                                                \
    [TR_K_LAYERS] = {"num_hidden_layers", TR_REQUIRED},                                            \
    [TR_K_HIDDEN] = {"hidden_size", TR_REQUIRED, "n_embed"},                                       \
    [TR_K_HEADS] = {"num_attention_heads", TR_REQUIRED},                                           \
    [TR_K_FFN] = {"ffn_hidden_size", TR_DERIVED}, [TR_K_VOCABULARY] = {"vocab_size", TR_REQUIRED}, \
    [TR_K_POSITIONS] = {"max_position_embeddings", 2048},                                          \
    [TR_K_EPSILON] = {"layer_norm_epsilon", 1e-5}, [TR_K_QKV_BIAS] = {"bias", false},              \
    [TR_K_OUT_BIAS] = {"bias", false}, [TR_K_MLP_BIAS] = {"bias", false},                          \
    [TR_K_TIED] = {"tie_word_embeddings", true}

#define COMMON_WEIGHTS                                                                             \
    [TR_W_EMBED] = "transformer.word_embeddings.weight",                                           \
    [TR_W_QKV] = "transformer.h.{layer}.self_attention.query_key_value.weight",                    \
    [TR_W_QKV_BIAS] = "transformer.h.{layer}.self_attention.query_key_value.bias",                 \
    [TR_W_O] = "transformer.h.{layer}.self_attention.dense.weight",                                \
    [TR_W_O_BIAS] = "transformer.h.{layer}.self_attention.dense.bias",                             \
    [TR_W_UP] = "transformer.h.{layer}.mlp.dense_h_to_4h.weight",                                  \
    [TR_W_UP_BIAS] = "transformer.h.{layer}.mlp.dense_h_to_4h.bias",                               \
    [TR_W_DOWN] = "transformer.h.{layer}.mlp.dense_4h_to_h.weight",                                \
    [TR_W_DOWN_BIAS] = "transformer.h.{layer}.mlp.dense_4h_to_h.bias",                             \
    [TR_W_FINAL_NORM] = "transformer.ln_f.weight",                                                 \
    [TR_W_FINAL_NORM_BIAS] = "transformer.ln_f.bias", [TR_W_HEAD] = "lm_head.weight"

#define NORMS_BY_SUBLAYER                                                                          \
    [TR_W_ATTN_NORM] = "transformer.h.{layer}.input_layernorm.weight",                             \
    [TR_W_ATTN_NORM_BIAS] = "transformer.h.{layer}.input_layernorm.bias",                          \
    [TR_W_MLP_NORM] = "transformer.h.{layer}.post_attention_layernorm.weight",                     \
    [TR_W_MLP_NORM_BIAS] = "transformer.h.{layer}.post_attention_layernorm.bias"

#define ROTARY [TR_K_ROPE_THETA] = {"rope_theta", 10000}

// Keys and values in groups, one norm for both sublayers.
const struct tr_family tr_family_falcon2 = {
    COMMON,
    .series = "Falcon2-11B",
    .tokenizer_read = true,
    .when = {"num_ln_in_parallel_attn", 1, 0},
    .refusals = {{{"new_decoder_architecture", false, false},
                  "num_ln_in_parallel_attn without new_decoder_architecture"},
                 {{"alibi", true, false}, "ALiBi with new_decoder_architecture"}},
    .parallel_shares_norm = true,
    .qkv = TR_QKV_PER_KV_HEAD,
    .keys =
        {COMMON_KEYS,
         ROTARY, [TR_K_KV_HEADS] = {"num_kv_heads", TR_DERIVED}, [TR_K_PARALLEL] = {NULL, true}},
    .weights = {COMMON_WEIGHTS, NORMS_BY_SUBLAYER},
};

// The same with a norm for each sublayer.
const struct tr_family tr_family_falcon_grouped = {
    COMMON,
    .series = "Falcon-40B, Falcon-180B",
    .tokenizer_read = true,
    .when = {"new_decoder_architecture", true, false},
    .refusals = {{{"alibi", true, false}, "ALiBi with new_decoder_architecture"}},
    .qkv = TR_QKV_PER_KV_HEAD,
    .keys =
        {COMMON_KEYS,
         ROTARY, [TR_K_KV_HEADS] = {"num_kv_heads", TR_DERIVED}, [TR_K_PARALLEL] = {NULL, true}},
    .weights = {COMMON_WEIGHTS, [TR_W_ATTN_NORM] = "transformer.h.{layer}.ln_attn.weight",
                [TR_W_ATTN_NORM_BIAS] = "transformer.h.{layer}.ln_attn.bias",
                [TR_W_MLP_NORM] = "transformer.h.{layer}.ln_mlp.weight",
                [TR_W_MLP_NORM_BIAS] = "transformer.h.{layer}.ln_mlp.bias"},
};

// A key and value of its own for each head, ALiBi.
const struct tr_family tr_family_falcon_rw = {
    COMMON,
    .series = "Falcon-RW",
    .tokenizer_read = true,
    .when = {"multi_query", false, true},
    .refusals = {{{"alibi", false, false}, "rotary positions without multi_query"}},
    .parallel_shares_norm = true,
    .qkv = TR_QKV_PER_HEAD,
    .position = TR_ALIBI_SCALED_BF16,
    .keys = {COMMON_KEYS, [TR_K_PARALLEL] = {"parallel_attn", true}},
    .weights = {COMMON_WEIGHTS, NORMS_BY_SUBLAYER},
};

// One key and value for all heads.
const struct tr_family tr_family_falcon = {
    COMMON,
    .series = "Falcon-7B",
    .tokenizer_read = true,
    .refusals = {{{"alibi", true, false}, "ALiBi with multi_query"}},
    .parallel_shares_norm = true,
    .qkv = TR_QKV_CONCATENATED,
    .keys = {COMMON_KEYS,
             ROTARY, [TR_K_KV_HEADS] = {NULL, 1}, [TR_K_PARALLEL] = {"parallel_attn", true}},
    .weights = {COMMON_WEIGHTS, NORMS_BY_SUBLAYER},
};
