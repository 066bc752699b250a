// SPDX-License-Identifier: Apache-2.0
#include "common.h"

const struct tr_family tr_family_gpt_neox = {
    .model_type = "gpt_neox",
    .series = "Pythia, PolyPythias, RedPajama-INCITE",
    .training = "Pythia, PolyPythias, RedPajama-INCITE",
    .tokenizer_read = true,
    .norm = KN_LAYER_NORM,
    .qkv = TR_QKV_PER_HEAD,
    .gated = false,
    .activation_key = "hidden_act",
    .activation = "gelu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_EPSILON] = {"layer_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rotary_emb_base", 10000},
            [TR_K_ROTARY_FRACTION] = {"rotary_pct", 0.25},
            [TR_K_QKV_BIAS] = {"attention_bias", true},
            [TR_K_OUT_BIAS] = {"attention_bias", true},
            [TR_K_MLP_BIAS] = {NULL, true},
            [TR_K_PARALLEL] = {"use_parallel_residual", true},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            [TR_W_EMBED] = "gpt_neox.embed_in.weight",
            [TR_W_ATTN_NORM] = "gpt_neox.layers.{layer}.input_layernorm.weight",
            [TR_W_ATTN_NORM_BIAS] = "gpt_neox.layers.{layer}.input_layernorm.bias",
            [TR_W_QKV] = "gpt_neox.layers.{layer}.attention.query_key_value.weight",
            [TR_W_QKV_BIAS] = "gpt_neox.layers.{layer}.attention.query_key_value.bias",
            [TR_W_O] = "gpt_neox.layers.{layer}.attention.dense.weight",
            [TR_W_O_BIAS] = "gpt_neox.layers.{layer}.attention.dense.bias",
            [TR_W_MLP_NORM] = "gpt_neox.layers.{layer}.post_attention_layernorm.weight",
            [TR_W_MLP_NORM_BIAS] = "gpt_neox.layers.{layer}.post_attention_layernorm.bias",
            [TR_W_UP] = "gpt_neox.layers.{layer}.mlp.dense_h_to_4h.weight",
            [TR_W_UP_BIAS] = "gpt_neox.layers.{layer}.mlp.dense_h_to_4h.bias",
            [TR_W_DOWN] = "gpt_neox.layers.{layer}.mlp.dense_4h_to_h.weight",
            [TR_W_DOWN_BIAS] = "gpt_neox.layers.{layer}.mlp.dense_4h_to_h.bias",
            [TR_W_FINAL_NORM] = "gpt_neox.final_layer_norm.weight",
            [TR_W_FINAL_NORM_BIAS] = "gpt_neox.final_layer_norm.bias",
            [TR_W_HEAD] = "embed_out.weight",
        },
};
