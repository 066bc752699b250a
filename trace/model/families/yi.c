// SPDX-License-Identifier: Apache-2.0
// Blocks of llama's kind that were published with code of their own.
#include "common.h"

#define AS_LLAMA                                                                                   \
    .norm = KN_RMS_NORM, .qkv = TR_QKV_SEPARATE, .rope_objects = TR_ROPE_NONE, .gated = true,      \
    .activation_key = "hidden_act", .activation = "silu"

const struct tr_family tr_family_yi = {
    AS_LLAMA,
    .model_type = "Yi",
    .series = "Yi as first published",
    .tokenizer_read = true,
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 4096},
            [TR_K_KV_HEADS] = {"num_key_value_heads", 4},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 5000000},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
            [TR_W_ATTN_NORM] = "model.layers.{layer}.ln1.weight",
            [TR_W_MLP_NORM] = "model.layers.{layer}.ln2.weight",
        },
};

const struct tr_family tr_family_skywork = {
    AS_LLAMA,
    .model_type = "skywork",
    .series = "Skywork-13B",
    .training = "Skywork-13B",
    .tokenizer_read = true,
    .unread = {"num_experts"}, // Skywork-MoE's, which has routers of two layers
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 4096},
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
        },
};
