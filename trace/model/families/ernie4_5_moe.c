// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// ernie4_5 with experts, which the router's softmax with a correction chooses.
const struct tr_family tr_family_ernie4_5_moe = {
    .model_type = "ernie4_5_moe",
    .series = "ERNIE 4.5 21B-A3B, 300B-A47B",
    .tokenizer_read = true,
    .refusals = {{{"use_bias", true, false}, "products with biases beside experts"},
                 {{"moe_use_aux_free", false, true}, "a router without a correction"},
                 {{"moe_norm_min", TR_OTHER, 1e-12}, "a larger least sum of experts' weights"}},
    .words = {{"moe_gate", "topk", "topk"}},
    .norm = KN_RMS_NORM,
    .qkv = TR_QKV_SEPARATE,
    .rope = KN_ROPE_INTERLEAVED,
    .gated = true,
    .sparse_phase = 1,
    .correction_is_row = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 131072},
            [TR_K_KV_HEADS] = {"num_key_value_heads", 4},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 500000},
            [TR_K_EXPERTS] = {"moe_num_experts", 64},
            [TR_K_EXPERTS_USED] = {"moe_k", 6},
            [TR_K_EXPERT_FFN] = {"moe_intermediate_size", 1536},
            [TR_K_SHARED_EXPERTS] = {"moe_num_shared_experts", 2},
            [TR_K_NORMALISE_TOP] = {NULL, true},
            [TR_K_DENSE_FIRST] = {"moe_layer_start_index", 1},
            [TR_K_SPARSE_STEP] = {"moe_layer_interval", 1},
            [TR_K_SPARSE_LAST] = {"moe_layer_end_index", -1},
            [TR_K_TIED] = {"tie_word_embeddings", true},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
            TR_EXPERTS_AS_QWEN,
            [TR_W_ROUTER_CORRECTION] =
                "model.layers.{layer}.mlp.moe_statics.e_score_correction_bias",
            [TR_W_SHARED_GATE] = "model.layers.{layer}.mlp.shared_experts.gate_proj.weight",
            [TR_W_SHARED_UP] = "model.layers.{layer}.mlp.shared_experts.up_proj.weight",
            [TR_W_SHARED_DOWN] = "model.layers.{layer}.mlp.shared_experts.down_proj.weight",
        },
};
