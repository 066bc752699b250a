// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// As llama, but neighbours turn; one key says whether all products have biases.
const struct tr_family tr_family_ernie4_5 = {
    .model_type = "ernie4_5",
    .series = "ERNIE 4.5 (dense)",
    .tokenizer_read = true,
    .norm = KN_RMS_NORM,
    .qkv = TR_QKV_SEPARATE,
    .rope = KN_ROPE_INTERLEAVED,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 131072},
            [TR_K_KV_HEADS] = {"num_key_value_heads", 2},
            [TR_K_HEAD_DIM] = {"head_dim", 128},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 500000},
            [TR_K_QKV_BIAS] = {"use_bias", false},
            [TR_K_OUT_BIAS] = {"use_bias", false},
            [TR_K_MLP_BIAS] = {"use_bias", false},
            [TR_K_TIED] = {"tie_word_embeddings", true},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
        },
};
