// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// Llama's block under names of its own; neighbours turn, and every option stands in the file.
const struct tr_family tr_family_pico_decoder = {
    .model_type = "pico_decoder",
    .series = "Pico",
    .training = "Pico",
    .tokenizer_read = true,
    .prefix = "pico_decoder.",
    .norm = KN_RMS_NORM,
    .rope_objects = TR_ROPE_NONE,
    .qkv = TR_QKV_SEPARATE,
    .rope = KN_ROPE_INTERLEAVED,
    .gated = true,
    .activation = "silu",
    .keys =
        {
            [TR_K_LAYERS] = {"n_layers", TR_REQUIRED},
            [TR_K_HIDDEN] = {"d_model", TR_REQUIRED},
            [TR_K_HEADS] = {"attention_n_heads", TR_REQUIRED},
            [TR_K_KV_HEADS] = {"attention_n_kv_heads", TR_REQUIRED},
            [TR_K_FFN] = {"activation_hidden_dim", TR_REQUIRED},
            [TR_K_VOCABULARY] = {"vocab_size", TR_REQUIRED},
            [TR_K_POSITIONS] = {"max_seq_len", TR_REQUIRED},
            [TR_K_EPSILON] = {"norm_eps", TR_REQUIRED},
            [TR_K_ROPE_THETA] = {"position_emb_theta", TR_REQUIRED},
        },
    .weights =
        {
            [TR_W_EMBED] = "pico_decoder.embedding_proj.weight",
            [TR_W_ATTN_NORM] = "pico_decoder.layers.{layer}.attention_norm.weight",
            [TR_W_Q] = "pico_decoder.layers.{layer}.attention.q_proj.weight",
            [TR_W_K] = "pico_decoder.layers.{layer}.attention.k_proj.weight",
            [TR_W_V] = "pico_decoder.layers.{layer}.attention.v_proj.weight",
            [TR_W_O] = "pico_decoder.layers.{layer}.attention.o_proj.weight",
            [TR_W_MLP_NORM] = "pico_decoder.layers.{layer}.swiglu_norm.weight",
            [TR_W_GATE] = "pico_decoder.layers.{layer}.swiglu.w_0.weight",
            [TR_W_UP] = "pico_decoder.layers.{layer}.swiglu.w_1.weight",
            [TR_W_DOWN] = "pico_decoder.layers.{layer}.swiglu.w_2.weight",
            [TR_W_FINAL_NORM] = "pico_decoder.output_norm.weight",
            [TR_W_HEAD] = "pico_decoder.de_embedding_proj.weight",
        },
};
