// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// Most layers have a selective state space (Mamba-2) in attention's place; "attn_layer_indices"
// lists those that attend. The class sets half of a head to turn, whatever its file says.
const struct tr_family tr_family_bamba = {
    .model_type = "bamba",
    .series = "Bamba 9B",
    .refusals = {{{"partial_rotary_factor", TR_OTHER, 0.5}, "another part of a head that turns"}},
    .norm = KN_RMS_NORM,
    .qkv = TR_QKV_SEPARATE,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 262144},
            [TR_K_KV_HEADS] = {"num_key_value_heads", 8},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_ROTARY_FRACTION] = {"partial_rotary_factor", 0.5},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_MLP_BIAS] = {"mlp_bias", false},
            [TR_K_SCAN_HEADS] = {"mamba_n_heads", 128, .needed = true},
            [TR_K_SCAN_DIM] = {"mamba_d_head", TR_DERIVED},
            [TR_K_SCAN_RATIO] = {"mamba_expand", 2, .needed = true},
            [TR_K_SCAN_GROUPS] = {"mamba_n_groups", 1, .needed = true},
            [TR_K_SCAN_STATES] = {"mamba_d_state", 256, .needed = true},
            [TR_K_SCAN_TAPS] = {"mamba_d_conv", 4, .needed = true},
            [TR_K_SCAN_BIAS] = {"mamba_proj_bias", false},
            [TR_K_TAPS_BIAS] = {"mamba_conv_bias", true},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            [TR_W_SCAN_IN] = "model.layers.{layer}.mamba.in_proj.weight",
            [TR_W_SCAN_IN_BIAS] = "model.layers.{layer}.mamba.in_proj.bias",
            [TR_W_TAPS] = "model.layers.{layer}.mamba.conv1d.weight",
            [TR_W_TAPS_BIAS] = "model.layers.{layer}.mamba.conv1d.bias",
            [TR_W_SCAN_RATE] = "model.layers.{layer}.mamba.A_log",
            [TR_W_SCAN_SKIP] = "model.layers.{layer}.mamba.D",
            [TR_W_SCAN_STEP_BIAS] = "model.layers.{layer}.mamba.dt_bias",
            [TR_W_SCAN_NORM] = "model.layers.{layer}.mamba.norm.weight",
            [TR_W_SCAN_OUT] = "model.layers.{layer}.mamba.out_proj.weight",
            [TR_W_SCAN_OUT_BIAS] = "model.layers.{layer}.mamba.out_proj.bias",
            [TR_W_MLP_NORM] = "model.layers.{layer}.pre_ff_layernorm.weight",
            [TR_W_GATE] = "model.layers.{layer}.feed_forward.gate_proj.weight",
            [TR_W_GATE_BIAS] = "model.layers.{layer}.feed_forward.gate_proj.bias",
            [TR_W_UP] = "model.layers.{layer}.feed_forward.up_proj.weight",
            [TR_W_UP_BIAS] = "model.layers.{layer}.feed_forward.up_proj.bias",
            [TR_W_DOWN] = "model.layers.{layer}.feed_forward.down_proj.weight",
            [TR_W_DOWN_BIAS] = "model.layers.{layer}.feed_forward.down_proj.bias",
            [TR_W_FINAL_NORM] = "model.final_layernorm.weight",
        },
};
