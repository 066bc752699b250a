// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// Scores are not scaled, and layers with a window alternate with others.
const struct tr_family tr_family_gpt_neo = {
    .model_type = "gpt_neo",
    .series = "GPT-Neo",
    .tokenizer_read = true,
    .prefix = "transformer.",
    .norm = KN_LAYER_NORM,
    .qkv = TR_QKV_SEPARATE,
    .position = TR_LEARNED,
    .window_phase = -1,
    .windows_by_attention_layers = true,
    .activation_key = "activation_function",
    .activation = "gelu_new",
    .keys =
        {
            [TR_K_LAYERS] = {"num_layers", TR_REQUIRED, "num_hidden_layers"},
            [TR_K_HIDDEN] = {"hidden_size", TR_REQUIRED},
            [TR_K_HEADS] = {"num_heads", TR_REQUIRED, "num_attention_heads"},
            [TR_K_FFN] = {"intermediate_size", TR_DERIVED},
            [TR_K_VOCABULARY] = {"vocab_size", TR_REQUIRED},
            [TR_K_POSITIONS] = {"max_position_embeddings", 2048},
            [TR_K_EPSILON] = {"layer_norm_epsilon", 1e-5},
            [TR_K_OUT_BIAS] = {NULL, true},
            [TR_K_MLP_BIAS] = {NULL, true},
            [TR_K_WINDOW] = {"window_size", 256, .needed = true},
            [TR_K_WINDOW_PERIOD] = {NULL, 2},
            [TR_K_SCORE_SCALE] = {NULL, 1},
            [TR_K_TIED] = {"tie_word_embeddings", true},
        },
    .weights =
        {
            [TR_W_EMBED] = "transformer.wte.weight",
            [TR_W_POSITIONS] = "transformer.wpe.weight",
            [TR_W_ATTN_NORM] = "transformer.h.{layer}.ln_1.weight",
            [TR_W_ATTN_NORM_BIAS] = "transformer.h.{layer}.ln_1.bias",
            [TR_W_Q] = "transformer.h.{layer}.attn.attention.q_proj.weight",
            [TR_W_K] = "transformer.h.{layer}.attn.attention.k_proj.weight",
            [TR_W_V] = "transformer.h.{layer}.attn.attention.v_proj.weight",
            [TR_W_O] = "transformer.h.{layer}.attn.attention.out_proj.weight",
            [TR_W_O_BIAS] = "transformer.h.{layer}.attn.attention.out_proj.bias",
            [TR_W_MLP_NORM] = "transformer.h.{layer}.ln_2.weight",
            [TR_W_MLP_NORM_BIAS] = "transformer.h.{layer}.ln_2.bias",
            [TR_W_UP] = "transformer.h.{layer}.mlp.c_fc.weight",
            [TR_W_UP_BIAS] = "transformer.h.{layer}.mlp.c_fc.bias",
            [TR_W_DOWN] = "transformer.h.{layer}.mlp.c_proj.weight",
            [TR_W_DOWN_BIAS] = "transformer.h.{layer}.mlp.c_proj.bias",
            [TR_W_FINAL_NORM] = "transformer.ln_f.weight",
            [TR_W_FINAL_NORM_BIAS] = "transformer.ln_f.bias",
            [TR_W_HEAD] = "lm_head.weight",
        },
};
