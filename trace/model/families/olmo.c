// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// The norms have no parameters, so no tensors either.
const struct tr_family tr_family_olmo = {
    .model_type = "olmo",
    .series = "OLMo 1",
    .training = "OLMo 1",
    .tokenizer_read = true,
    .when = {"d_model", 0, 0}, // another spelling has it
    .norm = KN_LAYER_NORM,
    .qkv = TR_QKV_SEPARATE,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_EPSILON] = {NULL, 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_CLIP_QKV] = {"clip_qkv", 0},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
            [TR_W_ATTN_NORM] = NULL,
            [TR_W_MLP_NORM] = NULL,
            [TR_W_FINAL_NORM] = NULL,
        },
};
