// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// Sinks in attention, of which every other layer has a window; experts with biases, all of a layer
// in one tensor, whose gates are limited.
const struct tr_family tr_family_gpt_oss = {
    .model_type = "gpt_oss",
    .series = "gpt-oss",
    .tokenizer_read = true,
    .norm = KN_RMS_NORM,
    .qkv = TR_QKV_SEPARATE,
    .rope_fallback =
        "{\"rope_type\": \"yarn\", \"factor\": 32, \"beta_fast\": 32, \"beta_slow\": 1,"
        " \"truncate\": false, \"original_max_position_embeddings\": 4096}",
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .words = {{"hidden_act", "silu", "silu"}},
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 131072},
            [TR_K_KV_HEADS] = {"num_key_value_heads", 8},
            [TR_K_HEAD_DIM] = {"head_dim", 64},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 150000},
            [TR_K_QKV_BIAS] = {"attention_bias", true},
            [TR_K_OUT_BIAS] = {"attention_bias", true},
            [TR_K_WINDOW] = {"sliding_window", 128},
            [TR_K_WINDOW_PERIOD] = {NULL, 2},
            [TR_K_EXPERTS] = {"num_local_experts", 128, .other = "num_experts"},
            [TR_K_EXPERTS_USED] = {"num_experts_per_tok", 4, .other = "experts_per_token"},
            [TR_K_GATE_LIMIT] = {"swiglu_limit", 7},
            [TR_K_GATE_SLOPE] = {"swiglu_alpha", 1.702},
            [TR_K_NORMALISE_TOP] = {NULL, true},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            [TR_W_SINKS] = "model.layers.{layer}.self_attn.sinks",
            [TR_W_ROUTER] = "model.layers.{layer}.mlp.router.weight",
            [TR_W_ROUTER_BIAS] = "model.layers.{layer}.mlp.router.bias",
            [TR_W_EXPERTS_IN] = "model.layers.{layer}.mlp.experts.gate_up_proj",
            [TR_W_EXPERTS_IN_BIAS] = "model.layers.{layer}.mlp.experts.gate_up_proj_bias",
            [TR_W_EXPERTS_OUT] = "model.layers.{layer}.mlp.experts.down_proj",
            [TR_W_EXPERTS_OUT_BIAS] = "model.layers.{layer}.mlp.experts.down_proj_bias",
        },
};
