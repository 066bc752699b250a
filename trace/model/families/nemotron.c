// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// LayerNorms whose weights are stored minus 1, and an MLP that is not gated.
const struct tr_family tr_family_nemotron = {
    .model_type = "nemotron",
    .series = "Nemotron-3 and -4, Minitron",
    .norm = KN_LAYER_NORM,
    .norm_plus_one = true,
    .qkv = TR_QKV_SEPARATE,
    .activation_key = "hidden_act",
    .activation = "relu2",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 4096},
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_EPSILON] = {"norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_ROTARY_FRACTION] = {"partial_rotary_factor", 0.5},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_MLP_BIAS] = {"mlp_bias", false},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            [TR_W_ATTN_NORM_BIAS] = "model.layers.{layer}.input_layernorm.bias",
            [TR_W_MLP_NORM_BIAS] = "model.layers.{layer}.post_attention_layernorm.bias",
            [TR_W_UP] = "model.layers.{layer}.mlp.up_proj.weight",
            [TR_W_UP_BIAS] = "model.layers.{layer}.mlp.up_proj.bias",
            [TR_W_DOWN] = "model.layers.{layer}.mlp.down_proj.weight",
            [TR_W_DOWN_BIAS] = "model.layers.{layer}.mlp.down_proj.bias",
            [TR_W_FINAL_NORM_BIAS] = "model.norm.bias",
        },
};
