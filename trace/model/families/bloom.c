// SPDX-License-Identifier: Apache-2.0
#include "common.h"

const struct tr_family tr_family_bloom = {
    .model_type = "bloom",
    .series = "BLOOM",
    .training = "BLOOM",
    .tokenizer_read = true,
    .prefix = "transformer.",
    .refusals = {{{"apply_residual_connection_post_layernorm", true, false},
                  "its residual add starts from the normed stream"}},
    .norm = KN_LAYER_NORM,
    .qkv = TR_QKV_PER_HEAD,
    .position = TR_ALIBI,
    .activation = "gelu_pytorch_tanh",
    .keys =
        {
            [TR_K_LAYERS] = {"n_layer", TR_REQUIRED, "num_hidden_layers"},
            [TR_K_HIDDEN] = {"hidden_size", TR_REQUIRED, "n_embed"},
            [TR_K_HEADS] = {"n_head", TR_REQUIRED, "num_attention_heads"},
            [TR_K_VOCABULARY] = {"vocab_size", TR_REQUIRED},
            [TR_K_POSITIONS] = {NULL, INT32_MAX}, // ALiBi has no maximum
            [TR_K_EPSILON] = {"layer_norm_epsilon", 1e-5},
            [TR_K_QKV_BIAS] = {NULL, true},
            [TR_K_OUT_BIAS] = {NULL, true},
            [TR_K_MLP_BIAS] = {NULL, true},
            [TR_K_TIED] = {"tie_word_embeddings", true},
        },
    .weights =
        {
            [TR_W_EMBED] = "transformer.word_embeddings.weight",
            [TR_W_EMBED_NORM] = "transformer.word_embeddings_layernorm.weight",
            [TR_W_EMBED_NORM_BIAS] = "transformer.word_embeddings_layernorm.bias",
            [TR_W_ATTN_NORM] = "transformer.h.{layer}.input_layernorm.weight",
            [TR_W_ATTN_NORM_BIAS] = "transformer.h.{layer}.input_layernorm.bias",
            [TR_W_QKV] = "transformer.h.{layer}.self_attention.query_key_value.weight",
            [TR_W_QKV_BIAS] = "transformer.h.{layer}.self_attention.query_key_value.bias",
            [TR_W_O] = "transformer.h.{layer}.self_attention.dense.weight",
            [TR_W_O_BIAS] = "transformer.h.{layer}.self_attention.dense.bias",
            [TR_W_MLP_NORM] = "transformer.h.{layer}.post_attention_layernorm.weight",
            [TR_W_MLP_NORM_BIAS] = "transformer.h.{layer}.post_attention_layernorm.bias",
            [TR_W_UP] = "transformer.h.{layer}.mlp.dense_h_to_4h.weight",
            [TR_W_UP_BIAS] = "transformer.h.{layer}.mlp.dense_h_to_4h.bias",
            [TR_W_DOWN] = "transformer.h.{layer}.mlp.dense_4h_to_h.weight",
            [TR_W_DOWN_BIAS] = "transformer.h.{layer}.mlp.dense_4h_to_h.bias",
            [TR_W_FINAL_NORM] = "transformer.ln_f.weight",
            [TR_W_FINAL_NORM_BIAS] = "transformer.ln_f.bias",
            [TR_W_HEAD] = "lm_head.weight",
        },
};
