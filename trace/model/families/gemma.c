// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// Norm weights are stored minus 1, and the embedding is scaled. Files from before hidden_activation
// say "gelu" and mean its tanh form.
const struct tr_family tr_family_gemma = {
    .model_type = "gemma",
    .series = "Gemma 1",
    .tokenizer_read = true,
    .refusals = {{{"use_bidirectional_attention", true, false},
                  "attention is causal here, not bidirectional"}},
    .norm = KN_RMS_NORM,
    .norm_plus_one = true,
    .qkv = TR_QKV_SEPARATE,
    .gated = true,
    .embed_scale_sqrt = true,
    .activation_key = "hidden_act",
    .activation = "gelu_pytorch_tanh",
    .gelu_is_tanh = true,
    .activation_override = "hidden_activation",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 8192},
            [TR_K_KV_HEADS] = {"num_key_value_heads", 16},
            [TR_K_HEAD_DIM] = {"head_dim", 256},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_TIED] = {"tie_word_embeddings", true},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
        },
};
