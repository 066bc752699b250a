// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// Every fourth layer does not rotate; windows, where used, are for those.
const struct tr_family tr_family_smollm3 = {
    .model_type = "smollm3",
    .series = "SmolLM3",
    .training = "SmolLM3",
    .tokenizer_read = true,
    .norm = KN_RMS_NORM,
    .qkv = TR_QKV_SEPARATE,
    .window_where_still = true,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 32768},
            [TR_K_KV_HEADS] = {"num_key_value_heads", 4},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rope_theta", 2000000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_MLP_BIAS] = {"mlp_bias", false},
            [TR_K_WINDOW] = {"sliding_window", 0},
            [TR_K_USE_WINDOW] = {"use_sliding_window", false},
            [TR_K_NOPE_PERIOD] = {"no_rope_layer_interval", 4},
            [TR_K_TIED] = {"tie_word_embeddings", true},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
        },
};
