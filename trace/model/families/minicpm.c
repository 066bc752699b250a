// SPDX-License-Identifier: Apache-2.0
#include "common.h"
#include "model/rope.h"

// As llama, with muP's multipliers: of the embedding, of what a sublayer adds, which also falls
// with the depth, and of the logits, which falls with the width.
const struct tr_family tr_family_minicpm = {
    .model_type = "minicpm",
    .series = "MiniCPM 1B and 2B",
    .training = "MiniCPM-2B (history)",
    .tokenizer_read = true,
    .refusals = {{{"num_experts", TR_OTHER, 0}, "experts"},
                 {{"mup_denominator", TR_OTHER, 0}, "another depth for the residual multiplier"}},
    .unread = {"sparse_config"},
    .norm = KN_RMS_NORM,
    .qkv = TR_QKV_SEPARATE,
    .rope_objects = TR_ROPE_SCALING_ONLY,
    .rope_types = 1 << TR_ROPE_LINEAR | 1 << TR_ROPE_DYNAMIC,
    .gated = true,
    .residual_by_depth = true,
    .logits_by_width = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_EMBED_SCALE] = {"scale_emb", 1},
            [TR_K_RESIDUAL_SCALE] = {"scale_depth", 1},
            [TR_K_LOGIT_SCALE] = {"dim_model_base", 1},
            [TR_K_TIED] = {"tie_word_embeddings", true},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
        },
};
