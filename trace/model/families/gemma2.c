// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// Norms before and after each sublayer, tanh caps on scores and logits, a window on every other
// layer.
const struct tr_family tr_family_gemma2 = {
    .model_type = "gemma2",
    .series = "Gemma 2",
    .tokenizer_read = true,
    .refusals = {{{"use_bidirectional_attention", true, false},
                  "attention is causal here, not bidirectional"}},
    .norm = KN_RMS_NORM,
    .norm_plus_one = true,
    .qkv = TR_QKV_SEPARATE,
    .gated = true,
    .embed_scale_sqrt = true,
    .activation_key = "hidden_activation",
    .activation = "gelu_pytorch_tanh",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 8192},
            [TR_K_KV_HEADS] = {"num_key_value_heads", 4},
            [TR_K_HEAD_DIM] = {"head_dim", 256},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_WINDOW] = {"sliding_window", 4096},
            [TR_K_WINDOW_PERIOD] = {NULL, 2},
            [TR_K_QUERY_SCALAR] = {"query_pre_attn_scalar", 256},
            [TR_K_SCORE_SOFTCAP] = {"attn_logit_softcapping", 50},
            [TR_K_LOGIT_SOFTCAP] = {"final_logit_softcapping", 30},
            [TR_K_TIED] = {"tie_word_embeddings", true},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
            [TR_W_ATTN_POST_NORM] = "model.layers.{layer}.post_attention_layernorm.weight",
            [TR_W_MLP_NORM] = "model.layers.{layer}.pre_feedforward_layernorm.weight",
            [TR_W_MLP_POST_NORM] = "model.layers.{layer}.post_feedforward_layernorm.weight",
        },
};
