// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// Attention and MLP read one norm of one input. Neighbours turn, in the first entries of a head;
// attention has no biases, the MLP and the head have.
const struct tr_family tr_family_gptj = {
    .model_type = "gptj",
    .series = "GPT-J",
    .tokenizer_read = true,
    .prefix = "transformer.",
    .refusals = {{{"rotary", false, true}, "positions that do not turn"},
                 {{"scale_attn_weights", false, true}, "scores that are not scaled"}},
    .norm = KN_LAYER_NORM,
    .parallel_shares_norm = true,
    .qkv = TR_QKV_SEPARATE,
    .rope = KN_ROPE_INTERLEAVED,
    .rope_objects = TR_ROPE_NONE,
    .activation_key = "activation_function",
    .activation = "gelu_new",
    .keys =
        {
            [TR_K_LAYERS] = {"n_layer", TR_REQUIRED, "num_hidden_layers"},
            [TR_K_HIDDEN] = {"n_embd", TR_REQUIRED, "hidden_size"},
            [TR_K_HEADS] = {"n_head", TR_REQUIRED, "num_attention_heads"},
            [TR_K_FFN] = {"n_inner", TR_DERIVED},
            [TR_K_VOCABULARY] = {"vocab_size", TR_REQUIRED},
            [TR_K_POSITIONS] = {"n_positions", 2048, "max_position_embeddings"},
            [TR_K_EPSILON] = {"layer_norm_epsilon", 1e-5},
            [TR_K_ROTARY_DIM] = {"rotary_dim", 64, .needed = true},
            [TR_K_MLP_BIAS] = {NULL, true},
            [TR_K_HEAD_BIAS] = {NULL, true},
            [TR_K_PARALLEL] = {NULL, true},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            [TR_W_EMBED] = "transformer.wte.weight",
            [TR_W_ATTN_NORM] = "transformer.h.{layer}.ln_1.weight",
            [TR_W_ATTN_NORM_BIAS] = "transformer.h.{layer}.ln_1.bias",
            [TR_W_Q] = "transformer.h.{layer}.attn.q_proj.weight",
            [TR_W_K] = "transformer.h.{layer}.attn.k_proj.weight",
            [TR_W_V] = "transformer.h.{layer}.attn.v_proj.weight",
            [TR_W_O] = "transformer.h.{layer}.attn.out_proj.weight",
            [TR_W_UP] = "transformer.h.{layer}.mlp.fc_in.weight",
            [TR_W_UP_BIAS] = "transformer.h.{layer}.mlp.fc_in.bias",
            [TR_W_DOWN] = "transformer.h.{layer}.mlp.fc_out.weight",
            [TR_W_DOWN_BIAS] = "transformer.h.{layer}.mlp.fc_out.bias",
            [TR_W_FINAL_NORM] = "transformer.ln_f.weight",
            [TR_W_FINAL_NORM_BIAS] = "transformer.ln_f.bias",
            [TR_W_HEAD] = "lm_head.weight",
            [TR_W_HEAD_BIAS] = "lm_head.bias",
        },
};
