// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// As cohere, without norms of queries and keys. Three of four layers have a window, and only those
// rotate.
const struct tr_family tr_family_cohere2 = {
    .model_type = "cohere2",
    .series = "Command R7B, Command A",
    .tokenizer_read = true,
    .norm = KN_LAYER_NORM,
    .qkv = TR_QKV_SEPARATE,
    .rope = KN_ROPE_INTERLEAVED,
    .turns_where_windowed = true,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 8192},
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_EPSILON] = {"layer_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_PARALLEL] = {NULL, true},
            [TR_K_WINDOW] = {"sliding_window", 4096, .needed = true},
            [TR_K_WINDOW_PERIOD] = {"sliding_window_pattern", 4},
            [TR_K_LOGIT_SCALE] = {"logit_scale", 0.0625},
            [TR_K_TIED] = {"tie_word_embeddings", true},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
            [TR_W_MLP_NORM] = "model.layers.{layer}.input_layernorm.weight",
        },
};
