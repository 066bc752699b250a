// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// As olmo2, with a window on three layers of four; rope scaling is for the fourth.
const struct tr_family tr_family_olmo3 = {
    .model_type = "olmo3",
    .series = "OLMo 3",
    .training = "OLMo 3",
    .tokenizer_read = true,
    .norm = KN_RMS_NORM,
    .qk_kind = KN_RMS_NORM,
    .no_pre_norm = true,
    .qk_norm = TR_QK_FULL_WIDTH,
    .qkv = TR_QKV_SEPARATE,
    .rope_full_layers_scaled = true,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 500000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_QK_NORM] = {NULL, true},
            [TR_K_WINDOW] = {"sliding_window", 4096},
            [TR_K_WINDOW_PERIOD] = {NULL, 4},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
            [TR_W_ATTN_NORM] = NULL,
            [TR_W_Q_NORM] = "model.layers.{layer}.self_attn.q_norm.weight",
            [TR_W_K_NORM] = "model.layers.{layer}.self_attn.k_norm.weight",
            [TR_W_ATTN_POST_NORM] = "model.layers.{layer}.post_attention_layernorm.weight",
            [TR_W_MLP_NORM] = NULL,
            [TR_W_MLP_POST_NORM] = "model.layers.{layer}.post_feedforward_layernorm.weight",
        },
};
