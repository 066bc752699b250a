// SPDX-License-Identifier: Apache-2.0
#include "common.h"

const struct tr_family tr_family_stablelm = {
    .model_type = "stablelm",
    .series = "StableLM",
    .tokenizer_read = true,
    .norm = KN_LAYER_NORM,
    .qk_kind = KN_LAYER_NORM,
    .parallel_shares_norm = true,
    .qk_norm = TR_QK_EACH_TENSOR,
    .qkv = TR_QKV_SEPARATE,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 4096},
            [TR_K_KV_HEADS] = {"num_key_value_heads", 32},
            [TR_K_EPSILON] = {"layer_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_ROTARY_FRACTION] = {"partial_rotary_factor", 0.25},
            [TR_K_QKV_BIAS] = {"use_qkv_bias", false},
            [TR_K_PARALLEL] = {"use_parallel_residual", false},
            [TR_K_QK_NORM] = {"qk_layernorm", false},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
            [TR_W_ATTN_NORM_BIAS] = "model.layers.{layer}.input_layernorm.bias",
            [TR_W_Q_NORM] = "model.layers.{layer}.self_attn.q_layernorm.norms.{head}.weight",
            [TR_W_K_NORM] = "model.layers.{layer}.self_attn.k_layernorm.norms.{head}.weight",
            [TR_W_MLP_NORM_BIAS] = "model.layers.{layer}.post_attention_layernorm.bias",
            [TR_W_FINAL_NORM_BIAS] = "model.norm.bias",
        },
};
