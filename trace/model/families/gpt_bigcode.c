// SPDX-License-Identifier: Apache-2.0
// As gpt2, with matrices stored [out, in]: one key and value for all heads, or one for each.
#include "common.h"

#define BIGCODE                                                                                    \
    .model_type = "gpt_bigcode", .prefix = "transformer.",                                         \
    .refusals = {{{"scale_attn_weights", false, true}, "its scores are not scaled"},               \
                 {{"add_cross_attention", true, false}, "it attends to an encoder"}},              \
    .norm = KN_LAYER_NORM, .position = TR_LEARNED, .activation_key = "activation_function",        \
    .activation = "gelu_pytorch_tanh",                                                             \
    .weights = {                                                                                   \
        [TR_W_EMBED] = "transformer.wte.weight",                                                   \
        [TR_W_POSITIONS] = "transformer.wpe.weight",                                               \
        [TR_W_ATTN_NORM] = "transformer.h.{layer}.ln_1.weight",                                    \
        [TR_W_ATTN_NORM_BIAS] = "transformer.h.{layer}.ln_1.bias",                                 \
        [TR_W_QKV] = "transformer.h.{layer}.attn.c_attn.weight",                                   \
        [TR_W_QKV_BIAS] = "transformer.h.{layer}.attn.c_attn.bias",                                \
        [TR_W_O] = "transformer.h.{layer}.attn.c_proj.weight",                                     \
        [TR_W_O_BIAS] = "transformer.h.{layer}.attn.c_proj.bias",                                  \
        [TR_W_MLP_NORM] = "transformer.h.{layer}.ln_2.weight",                                     \
        [TR_W_MLP_NORM_BIAS] = "transformer.h.{layer}.ln_2.bias",                                  \
        [TR_W_UP] = "transformer.h.{layer}.mlp.c_fc.weight",                                       \
        [TR_W_UP_BIAS] = "transformer.h.{layer}.mlp.c_fc.bias",                                    \
        [TR_W_DOWN] = "transformer.h.{layer}.mlp.c_proj.weight",                                   \
        [TR_W_DOWN_BIAS] = "transformer.h.{layer}.mlp.c_proj.bias",                                \
        [TR_W_FINAL_NORM] = "transformer.ln_f.weight",                                             \
        [TR_W_FINAL_NORM_BIAS] = "transformer.ln_f.bias",                                          \
        [TR_W_HEAD] = "lm_head.weight",                                                            \
    }

#define BIGCODE_KEYS                                                                               \
    [TR_K_LAYERS] = {"n_layer", TR_REQUIRED, "num_hidden_layers"},                                 \
    [TR_K_HIDDEN] = {"n_embd", TR_REQUIRED, "hidden_size"},                                        \
    [TR_K_HEADS] = {"n_head", TR_REQUIRED, "num_attention_heads"},                                 \
    [TR_K_FFN] = {"n_inner", TR_DERIVED}, [TR_K_VOCABULARY] = {"vocab_size", TR_REQUIRED},         \
    [TR_K_POSITIONS] = {"n_positions", 1024, "max_position_embeddings"},                           \
    [TR_K_EPSILON] = {"layer_norm_epsilon", 1e-5}, [TR_K_QKV_BIAS] = {NULL, true},                 \
    [TR_K_OUT_BIAS] = {NULL, true}, [TR_K_MLP_BIAS] = {NULL, true},                                \
    [TR_K_TIED] = {"tie_word_embeddings", true}

const struct tr_family tr_family_gpt_bigcode_many = {
    BIGCODE,
    .series = "models without multi-query attention",
    .when = {"multi_query", false, true},
    .qkv = TR_QKV_PER_HEAD,
    .keys = {BIGCODE_KEYS},
};

const struct tr_family tr_family_gpt_bigcode = {
    BIGCODE,
    .series = "SantaCoder, StarCoder",
    .tokenizer_read = true,
    .qkv = TR_QKV_CONCATENATED,
    .keys = {BIGCODE_KEYS, [TR_K_KV_HEADS] = {NULL, 1}},
};
