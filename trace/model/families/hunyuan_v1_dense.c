// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// As llama, but queries and keys are normed once they have turned.
const struct tr_family tr_family_hunyuan_v1_dense = {
    .model_type = "hunyuan_v1_dense",
    .series = "Hunyuan (dense)",
    .tokenizer_read = true,
    .refusals = {{{"use_qk_norm", false, true}, "queries and keys without norms"},
                 {{"use_cla", true, false}, "layers that share keys and values"}},
    .norm = KN_RMS_NORM,
    .qk_kind = KN_RMS_NORM,
    .qk_norm = TR_QK_PER_HEAD,
    .qk_norm_turned = true,
    .qkv = TR_QKV_SEPARATE,
    .rope_alpha = true,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_HEAD_DIM] = {"head_dim", TR_REQUIRED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_QK_NORM] = {NULL, true},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
            [TR_W_Q_NORM] = "model.layers.{layer}.self_attn.query_layernorm.weight",
            [TR_W_K_NORM] = "model.layers.{layer}.self_attn.key_layernorm.weight",
        },
};
