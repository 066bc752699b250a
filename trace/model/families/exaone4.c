// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// Sublayers read the stream as it is, and their outputs are normed. Where layers have windows, only
// those rotate.
const struct tr_family tr_family_exaone4 = {
    .model_type = "exaone4",
    .series = "EXAONE 4.0",
    .norm = KN_RMS_NORM,
    .qk_kind = KN_RMS_NORM,
    .no_pre_norm = true,
    .qk_norm = TR_QK_PER_HEAD,
    .qkv = TR_QKV_SEPARATE,
    .turns_where_windowed = true,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_KV_HEADS] = {"num_key_value_heads", 32},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QK_NORM] = {NULL, true},
            [TR_K_WINDOW] = {"sliding_window", 4096},
            [TR_K_WINDOW_PERIOD] = {"sliding_window_pattern", 4},
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
