// SPDX-License-Identifier: Apache-2.0
#include "common.h"

const struct tr_family tr_family_mixtral = {
    .model_type = "mixtral",
    .series = "Mixtral 8x7B, 8x22B",
    .tokenizer_read = true,
    .norm = KN_RMS_NORM,
    .qkv = TR_QKV_SEPARATE,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_KV_HEADS] = {"num_key_value_heads", 8},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_POSITIONS] = {"max_position_embeddings", 131072},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 1e6},
            [TR_K_WINDOW] = {"sliding_window", TR_DERIVED},
            [TR_K_EXPERTS] = {"num_local_experts", 8},
            [TR_K_EXPERTS_USED] = {"num_experts_per_tok", 2},
            [TR_K_NORMALISE_TOP] = {NULL, true},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            [TR_W_ROUTER] = "model.layers.{layer}.block_sparse_moe.gate.weight",
            [TR_W_EXPERT_GATE] = "model.layers.{layer}.block_sparse_moe.experts.{expert}.w1.weight",
            [TR_W_EXPERT_UP] = "model.layers.{layer}.block_sparse_moe.experts.{expert}.w3.weight",
            [TR_W_EXPERT_DOWN] = "model.layers.{layer}.block_sparse_moe.experts.{expert}.w2.weight",
        },
};
