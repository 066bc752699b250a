// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// As llama, with four multipliers.
const struct tr_family tr_family_granite = {
    .model_type = "granite",
    .series = "Granite 3",
    .tokenizer_read = true,
    .norm = KN_RMS_NORM,
    .qkv = TR_QKV_SEPARATE,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_MLP_BIAS] = {"mlp_bias", false},
            [TR_K_SCORE_SCALE] = {"attention_multiplier", 1},
            [TR_K_EMBED_SCALE] = {"embedding_multiplier", 1},
            [TR_K_RESIDUAL_SCALE] = {"residual_multiplier", 1},
            [TR_K_LOGIT_DIVISOR] = {"logits_scaling", 1},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
        },
};
