// SPDX-License-Identifier: Apache-2.0
#include "common.h"
#include "model/rope.h"

const struct tr_family tr_family_deepseek = {
    .model_type = "deepseek",
    .series = "DeepSeek-MoE",
    .tokenizer_read = true,
    .refusals = {{{"num_experts_per_tok", 1, 0}, "one routed expert per token"}},
    .words = {{"scoring_func", "softmax", "softmax"}},
    .norm = KN_RMS_NORM,
    .rope_objects = TR_ROPE_SCALING_ONLY,
    .rope_types = 1 << TR_ROPE_LINEAR | 1 << TR_ROPE_DYNAMIC,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_TIED] = {"tie_word_embeddings", false},
            [TR_K_EXPERTS] = {"n_routed_experts", 0},
            [TR_K_EXPERTS_USED] = {"num_experts_per_tok", TR_REQUIRED},
            [TR_K_EXPERT_FFN] = {"moe_intermediate_size", 1407},
            [TR_K_SHARED_EXPERTS] = {"n_shared_experts", 0},
            [TR_K_NORMALISE_TOP] = {"norm_topk_prob", false},
            [TR_K_DENSE_FIRST] = {"first_k_dense_replace", 0},
            [TR_K_SPARSE_STEP] = {"moe_layer_freq", 1},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
            [TR_W_ROUTER] = "model.layers.{layer}.mlp.gate.weight",
            [TR_W_EXPERT_GATE] = "model.layers.{layer}.mlp.experts.{expert}.gate_proj.weight",
            [TR_W_EXPERT_UP] = "model.layers.{layer}.mlp.experts.{expert}.up_proj.weight",
            [TR_W_EXPERT_DOWN] = "model.layers.{layer}.mlp.experts.{expert}.down_proj.weight",
            [TR_W_SHARED_GATE] = "model.layers.{layer}.mlp.shared_experts.gate_proj.weight",
            [TR_W_SHARED_UP] = "model.layers.{layer}.mlp.shared_experts.up_proj.weight",
            [TR_W_SHARED_DOWN] = "model.layers.{layer}.mlp.shared_experts.down_proj.weight",
        },
};
