// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// As llama with biases in attention. A "dynamic" rotation differs behind the maximum length only.
const struct tr_family tr_family_internlm = {
    .model_type = "internlm",
    .series = "InternLM of 2023",
    .tokenizer_read = true,
    .refusals = {{{"tie_word_embeddings", true, false}, "a head that is the embedding"}},
    .norm = KN_RMS_NORM,
    .rope_objects = TR_ROPE_NONE,
    .qkv = TR_QKV_SEPARATE,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rotary.base", 10000},
            [TR_K_QKV_BIAS] = {"bias", true},
            [TR_K_OUT_BIAS] = {"bias", true},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
        },
};
