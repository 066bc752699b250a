// SPDX-License-Identifier: Apache-2.0
#include "common.h"

const struct tr_family tr_family_qwen3 = {
    .model_type = "qwen3",
    .series = "Qwen3",
    .tokenizer_read = true,
    .norm = KN_RMS_NORM,
    .qk_kind = KN_RMS_NORM,
    .qk_norm = TR_QK_PER_HEAD,
    .qkv = TR_QKV_SEPARATE,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_KV_HEADS] = {"num_key_value_heads", 32},
            [TR_K_HEAD_DIM] = {"head_dim", 128},
            [TR_K_POSITIONS] = {"max_position_embeddings", 32768},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_QK_NORM] = {NULL, true},
            [TR_K_WINDOW] = {"sliding_window", 4096},
            [TR_K_USE_WINDOW] = {"use_sliding_window", false},
            [TR_K_WINDOW_START] = {"max_window_layers", 28},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            [TR_W_Q_NORM] = "model.layers.{layer}.self_attn.q_norm.weight",
            [TR_W_K_NORM] = "model.layers.{layer}.self_attn.k_norm.weight",
            TR_MLP_AS_LLAMA,
        },
};
