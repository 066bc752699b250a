// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// A Llama whose blocks were searched: each has key heads and an MLP of its own sizes, or lacks one
// of them.
const struct tr_family tr_family_nemotron_nas = {
    .model_type = "nemotron-nas",
    .series = "Llama-Nemotron (51B, Super 49B, Ultra 253B)",
    .tokenizer_read = true,
    .norm = KN_RMS_NORM,
    .qkv = TR_QKV_SEPARATE,
    .gated = true,
    .block_sizes = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_FFN] = {"intermediate_size", TR_DERIVED},
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_MLP_BIAS] = {"mlp_bias", false},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
        },
};
