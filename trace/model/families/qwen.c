// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// The first Qwen: w2 is the gate. Behind "seq_length" its code may change rotation and scores, so
// that is the longest sequence.
const struct tr_family tr_family_qwen = {
    .model_type = "qwen",
    .series = "Qwen of 2023",
    .tokenizer_read = true,
    .refusals = {{{"no_bias", false, true},
                  "products with biases besides queries, keys and values"},
                 {{"scale_attn_weights", false, true}, "scores that are not scaled"},
                 {{"tie_word_embeddings", true, false}, "a head that is the embedding"}},
    .norm = KN_RMS_NORM,
    .qkv = TR_QKV_CONCATENATED,
    .rope_objects = TR_ROPE_NONE,
    .gated = true,
    .ffn_counts_gate = true,
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"seq_length", TR_REQUIRED},
            [TR_K_HEAD_DIM] = {"kv_channels", 128},
            [TR_K_EPSILON] = {"layer_norm_epsilon", 1e-6},
            [TR_K_ROPE_THETA] = {"rotary_emb_base", 10000},
            [TR_K_ROTARY_FRACTION] = {"rotary_pct", 1},
            [TR_K_QKV_BIAS] = {NULL, true},
        },
    .weights =
        {
            [TR_W_EMBED] = "transformer.wte.weight",
            [TR_W_ATTN_NORM] = "transformer.h.{layer}.ln_1.weight",
            [TR_W_QKV] = "transformer.h.{layer}.attn.c_attn.weight",
            [TR_W_QKV_BIAS] = "transformer.h.{layer}.attn.c_attn.bias",
            [TR_W_O] = "transformer.h.{layer}.attn.c_proj.weight",
            [TR_W_MLP_NORM] = "transformer.h.{layer}.ln_2.weight",
            [TR_W_GATE] = "transformer.h.{layer}.mlp.w2.weight",
            [TR_W_UP] = "transformer.h.{layer}.mlp.w1.weight",
            [TR_W_DOWN] = "transformer.h.{layer}.mlp.c_proj.weight",
            [TR_W_FINAL_NORM] = "transformer.ln_f.weight",
            [TR_W_HEAD] = "lm_head.weight",
        },
};
