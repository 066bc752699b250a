// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// LayerNorms without biases, ALiBi; what concerns attention is in an object of config.json. The
// class has one kind of MLP, whatever the file says.
const struct tr_family tr_family_mpt = {
    .model_type = "mpt",
    .series = "MPT",
    .tokenizer_read = true,
    .prefix = "transformer.",
    .refusals = {{{"attn_config.alibi", false, true}, "positions without ALiBi"},
                 {{"attn_config.prefix_lm", true, false},
                  "attention is causal here, without a "
                  "prefix that sees itself"},
                 {{"attn_config.qk_ln", true, false}, "norms of queries and keys"},
                 {{"attn_config.rope", true, false}, "positions that turn"},
                 {{"attn_config.alibi_bias_max", TR_OTHER, 8},
                  "implementations differ on slopes with another alibi_bias_max than 8"},
                 {{"attn_config.sliding_window_size", TR_OTHER, -1}, "windows"},
                 {{"no_bias", false, true}, "products and norms with biases"},
                 {{"expansion_ratio", TR_OTHER, 4}, "an MLP that is not 4 times as wide"},
                 {{"logit_scale", TR_OTHER, 1}, "logits that are scaled"}},
    .words = {{"attn_config.attn_type", "multihead_attention", "multihead_attention"},
              {"norm_type", "low_precision_layernorm", "low_precision_layernorm"}},
    .norm = KN_LAYER_NORM,
    .qkv = TR_QKV_CONCATENATED,
    .position = TR_ALIBI,
    .activation = "gelu",
    .keys =
        {
            [TR_K_LAYERS] = {"n_layers", TR_REQUIRED, "num_hidden_layers"},
            [TR_K_HIDDEN] = {"d_model", TR_REQUIRED, "hidden_size"},
            [TR_K_HEADS] = {"n_heads", TR_REQUIRED, "num_attention_heads"},
            [TR_K_VOCABULARY] = {"vocab_size", TR_REQUIRED},
            [TR_K_POSITIONS] = {"max_seq_len", 2048},
            [TR_K_EPSILON] = {"layer_norm_epsilon", 1e-5},
            [TR_K_CLIP_QKV] = {"attn_config.clip_qkv", 0},
            [TR_K_SCORE_SCALE] = {"attn_config.softmax_scale", TR_DERIVED},
            [TR_K_TIED] = {"tie_word_embeddings", true},
        },
    .weights =
        {
            [TR_W_EMBED] = "transformer.wte.weight",
            [TR_W_ATTN_NORM] = "transformer.blocks.{layer}.norm_1.weight",
            [TR_W_QKV] = "transformer.blocks.{layer}.attn.Wqkv.weight",
            [TR_W_O] = "transformer.blocks.{layer}.attn.out_proj.weight",
            [TR_W_MLP_NORM] = "transformer.blocks.{layer}.norm_2.weight",
            [TR_W_UP] = "transformer.blocks.{layer}.ffn.up_proj.weight",
            [TR_W_DOWN] = "transformer.blocks.{layer}.ffn.down_proj.weight",
            [TR_W_FINAL_NORM] = "transformer.norm_f.weight",
            [TR_W_HEAD] = "lm_head.weight",
        },
};
