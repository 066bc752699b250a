// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// No norm has weights, also that of the embedding, those of queries and keys and the final one.
const struct tr_family tr_family_nanochat = {
    .model_type = "nanochat",
    .series = "nanochat",
    .norm = KN_RMS_NORM,
    .qk_kind = KN_RMS_NORM,
    .qk_norm = TR_QK_PER_HEAD,
    .embedding_normed = true,
    .qk_norm_turned = true,
    .qkv = TR_QKV_SEPARATE,
    .turns_back = true,
    .activation_key = "hidden_act",
    .activation = "relu2",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_FFN] = {"intermediate_size", 8192},
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_QK_NORM] = {NULL, true},
            [TR_K_LOGIT_SOFTCAP] = {"final_logit_softcapping", 15},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            [TR_W_ATTN_NORM] = NULL,
            [TR_W_MLP_NORM] = NULL,
            [TR_W_FINAL_NORM] = NULL,
            [TR_W_UP] = "model.layers.{layer}.mlp.fc1.weight",
            [TR_W_DOWN] = "model.layers.{layer}.mlp.fc2.weight",
        },
};
