// SPDX-License-Identifier: Apache-2.0
#include "common.h"

const struct tr_family tr_family_qwen2_moe = {
    .model_type = "qwen2_moe",
    .series = "Qwen1.5-MoE, Qwen2-57B-A14B",
    .tokenizer_read = true,
    .norm = KN_RMS_NORM,
    .qkv = TR_QKV_SEPARATE,
    .gated = true,
    .sparse_phase = 1,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_KV_HEADS] = {"num_key_value_heads", 16},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_POSITIONS] = {"max_position_embeddings", 32768},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"qkv_bias", true},
            [TR_K_WINDOW] = {"sliding_window", 4096},
            [TR_K_USE_WINDOW] = {"use_sliding_window", false},
            [TR_K_WINDOW_PERIOD] = {NULL, 2},
            [TR_K_WINDOW_END] = {"max_window_layers", 28},
            [TR_K_EXPERTS] = {"num_experts", 60},
            [TR_K_EXPERTS_USED] = {"num_experts_per_tok", 4},
            [TR_K_EXPERT_FFN] = {"moe_intermediate_size", 1408},
            [TR_K_SHARED_FFN] = {"shared_expert_intermediate_size", 5632},
            [TR_K_NORMALISE_TOP] = {"norm_topk_prob", false},
            [TR_K_SPARSE_STEP] = {"decoder_sparse_step", 1},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
            TR_EXPERTS_AS_QWEN,
            [TR_W_SHARED_GATE] = "model.layers.{layer}.mlp.shared_expert.gate_proj.weight",
            [TR_W_SHARED_UP] = "model.layers.{layer}.mlp.shared_expert.up_proj.weight",
            [TR_W_SHARED_DOWN] = "model.layers.{layer}.mlp.shared_expert.down_proj.weight",
            [TR_W_SHARED_SWITCH] = "model.layers.{layer}.mlp.shared_expert_gate.weight",
        },
};
