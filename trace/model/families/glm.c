// SPDX-License-Identifier: Apache-2.0
// GLM-4 of 2024 and of 2025, which also norms what its sublayers add. Neighbours turn, in a part of
// a head.
#include "common.h"

#define GLM                                                                                        \
    .norm = KN_RMS_NORM, .qkv = TR_QKV_SEPARATE, .rope = KN_ROPE_INTERLEAVED, .gated = true,       \
    .activation_key = "hidden_act", .activation = "silu",                                          \
    .keys = {                                                                                      \
        TR_SIZES_AS_LLAMA,                                                                         \
        [TR_K_POSITIONS] = {"max_position_embeddings", 131072},                                    \
        [TR_K_KV_HEADS] = {"num_key_value_heads", 2},                                              \
        [TR_K_HEAD_DIM] = {"head_dim", 128},                                                       \
        [TR_K_EPSILON] = {"rms_norm_eps", 1.5625e-7},                                              \
        [TR_K_ROPE_THETA] = {"rope_theta", 10000},                                                 \
        [TR_K_ROTARY_FRACTION] = {"partial_rotary_factor", 0.5},                                   \
        [TR_K_QKV_BIAS] = {"attention_bias", true},                                                \
        [TR_K_TIED] = {"tie_word_embeddings", false},                                              \
    }

#define GLM_WEIGHTS                                                                                \
    TR_ATTENTION_AS_LLAMA, [TR_W_GATE_UP] = "model.layers.{layer}.mlp.gate_up_proj.weight",        \
                           [TR_W_DOWN] = "model.layers.{layer}.mlp.down_proj.weight"

const struct tr_family tr_family_glm = {
    GLM,
    .model_type = "glm",
    .series = "GLM-4 of 2024",
    .tokenizer_read = true,
    .weights = {GLM_WEIGHTS},
};

const struct tr_family tr_family_glm4 = {
    GLM,
    .model_type = "glm4",
    .series = "GLM-4 of 2025 (0414)",
    .tokenizer_read = true,
    .weights = {GLM_WEIGHTS,
                [TR_W_ATTN_POST_NORM] = "model.layers.{layer}.post_self_attn_layernorm.weight",
                [TR_W_MLP_POST_NORM] = "model.layers.{layer}.post_mlp_layernorm.weight"},
};
