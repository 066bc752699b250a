// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// Attention and MLP read one norm of one input; norms have no biases.
const struct tr_family tr_family_cohere = {
    .model_type = "cohere",
    .series = "Command R, Aya 23",
    .tokenizer_read = true,
    .norm = KN_LAYER_NORM,
    .qk_kind = KN_LAYER_NORM,
    .qk_norm = TR_QK_PER_HEAD_OWN,
    .qkv = TR_QKV_SEPARATE,
    .rope = KN_ROPE_INTERLEAVED,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 8192},
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_EPSILON] = {"layer_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 500000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_PARALLEL] = {NULL, true},
            [TR_K_QK_NORM] = {"use_qk_norm", false},
            [TR_K_LOGIT_SCALE] = {"logit_scale", 0.0625},
            [TR_K_TIED] = {"tie_word_embeddings", true},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
            [TR_W_Q_NORM] = "model.layers.{layer}.self_attn.q_norm.weight",
            [TR_W_K_NORM] = "model.layers.{layer}.self_attn.k_norm.weight",
            [TR_W_MLP_NORM] = "model.layers.{layer}.input_layernorm.weight",
        },
};
