// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// The MLP is not gated; its activation, xIELU, has two learned scalars in each layer.
const struct tr_family tr_family_apertus = {
    .model_type = "apertus",
    .series = "Apertus",
    .training = "Apertus",
    .tokenizer_read = true,
    .norm = KN_RMS_NORM,
    .qk_kind = KN_RMS_NORM,
    .qk_norm = TR_QK_PER_HEAD,
    .qkv = TR_QKV_SEPARATE,
    .rope_fallback = "{\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1,"
                     " \"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192}",
    .activation_key = "hidden_act",
    .activation = "xielu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 65536},
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 12000000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_QK_NORM] = {NULL, true},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            [TR_W_ATTN_NORM] = "model.layers.{layer}.attention_layernorm.weight",
            [TR_W_Q_NORM] = "model.layers.{layer}.self_attn.q_norm.weight",
            [TR_W_K_NORM] = "model.layers.{layer}.self_attn.k_norm.weight",
            [TR_W_MLP_NORM] = "model.layers.{layer}.feedforward_layernorm.weight",
            [TR_W_UP] = "model.layers.{layer}.mlp.up_proj.weight",
            [TR_W_DOWN] = "model.layers.{layer}.mlp.down_proj.weight",
            [TR_W_ALPHA_P] = "model.layers.{layer}.mlp.act_fn.alpha_p",
            [TR_W_ALPHA_N] = "model.layers.{layer}.mlp.act_fn.alpha_n",
        },
};
