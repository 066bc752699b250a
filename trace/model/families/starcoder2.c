// SPDX-License-Identifier: Apache-2.0
#include "common.h"

const struct tr_family tr_family_starcoder2 = {
    .model_type = "starcoder2",
    .series = "StarCoder2",
    .tokenizer_read = true,
    .norm = KN_LAYER_NORM,
    .qkv = TR_QKV_SEPARATE,
    .activation_key = "hidden_act",
    .activation = "gelu_pytorch_tanh",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 4096},
            [TR_K_KV_HEADS] = {"num_key_value_heads", 2},
            [TR_K_EPSILON] = {"norm_epsilon", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"use_bias", true},
            [TR_K_OUT_BIAS] = {"use_bias", true},
            [TR_K_MLP_BIAS] = {"use_bias", true},
            [TR_K_TIED] = {"tie_word_embeddings", true},
            [TR_K_WINDOW] = {"sliding_window", 0},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            [TR_W_ATTN_NORM_BIAS] = "model.layers.{layer}.input_layernorm.bias",
            [TR_W_MLP_NORM_BIAS] = "model.layers.{layer}.post_attention_layernorm.bias",
            [TR_W_UP] = "model.layers.{layer}.mlp.c_fc.weight",
            [TR_W_UP_BIAS] = "model.layers.{layer}.mlp.c_fc.bias",
            [TR_W_DOWN] = "model.layers.{layer}.mlp.c_proj.weight",
            [TR_W_DOWN_BIAS] = "model.layers.{layer}.mlp.c_proj.bias",
            [TR_W_FINAL_NORM_BIAS] = "model.norm.bias",
        },
};
