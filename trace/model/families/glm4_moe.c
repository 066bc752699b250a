// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// Attention as llama's, of which half a head turns; experts as deepseek_v3's.
const struct tr_family tr_family_glm4_moe = {
    .model_type = "glm4_moe",
    .series = "GLM-4.5, GLM-4.6",
    .tokenizer_read = true,
    .norm = KN_RMS_NORM,
    .qk_kind = KN_RMS_NORM,
    .qk_norm = TR_QK_PER_HEAD,
    .qkv = TR_QKV_SEPARATE,
    .gated = true,
    .sigmoid_router = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 131072},
            [TR_K_KV_HEADS] = {"num_key_value_heads", 8},
            [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_ROTARY_FRACTION] = {"partial_rotary_factor", 0.5},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_QK_NORM] = {"use_qk_norm", false},
            [TR_K_EXPERTS] = {"n_routed_experts", 128},
            [TR_K_EXPERTS_USED] = {"num_experts_per_tok", 8},
            [TR_K_EXPERT_FFN] = {"moe_intermediate_size", 1408},
            [TR_K_SHARED_EXPERTS] = {"n_shared_experts", 1},
            [TR_K_NORMALISE_TOP] = {"norm_topk_prob", true},
            [TR_K_ROUTED_SCALE] = {"routed_scaling_factor", 1},
            [TR_K_DENSE_FIRST] = {"first_k_dense_replace", 1},
            [TR_K_AHEAD] = {"num_nextn_predict_layers", 1},
            [TR_K_GROUPS] = {"n_group", 1, .needed = true},
            [TR_K_GROUPS_USED] = {"topk_group", 1, .needed = true},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            [TR_W_Q_NORM] = "model.layers.{layer}.self_attn.q_norm.weight",
            [TR_W_K_NORM] = "model.layers.{layer}.self_attn.k_norm.weight",
            TR_MLP_AS_LLAMA,
            TR_EXPERTS_AS_QWEN,
            [TR_W_ROUTER_CORRECTION] = "model.layers.{layer}.mlp.gate.e_score_correction_bias",
            [TR_W_SHARED_GATE] = "model.layers.{layer}.mlp.shared_experts.gate_proj.weight",
            [TR_W_SHARED_UP] = "model.layers.{layer}.mlp.shared_experts.up_proj.weight",
            [TR_W_SHARED_DOWN] = "model.layers.{layer}.mlp.shared_experts.down_proj.weight",
        },
};
