// SPDX-License-Identifier: Apache-2.0
#include "common.h"

const struct tr_family tr_family_olmoe = {
    .model_type = "olmoe",
    .series = "OLMoE",
    .training = "OLMoE",
    .tokenizer_read = true,
    .norm = KN_RMS_NORM,
    .qk_kind = KN_RMS_NORM,
    .qk_norm = TR_QK_FULL_WIDTH,
    .qkv = TR_QKV_SEPARATE,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_POSITIONS] = {"max_position_embeddings", 4096},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_QK_NORM] = {NULL, true},
            [TR_K_CLIP_QKV] = {"clip_qkv", TR_DERIVED},
            [TR_K_EXPERTS] = {"num_experts", 64},
            [TR_K_EXPERTS_USED] = {"num_experts_per_tok", 8},
            [TR_K_NORMALISE_TOP] = {"norm_topk_prob", false},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            [TR_W_Q_NORM] = "model.layers.{layer}.self_attn.q_norm.weight",
            [TR_W_K_NORM] = "model.layers.{layer}.self_attn.k_norm.weight",
            TR_EXPERTS_AS_QWEN,
        },
};
