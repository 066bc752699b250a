// SPDX-License-Identifier: Apache-2.0
#include "common.h"

// Attention as hunyuan_v1_dense's; experts in every layer, and a shared one as wide as they are.
const struct tr_family tr_family_hunyuan_v1_moe = {
    .model_type = "hunyuan_v1_moe",
    .series = "Hunyuan-A13B",
    .refusals = {{{"use_qk_norm", false, true}, "queries and keys without norms"},
                 {{"use_cla", true, false}, "layers that share keys and values"},
                 {{"norm_topk_prob", false, true}, "experts' weights that do not sum to 1"},
                 {{"use_mixed_mlp_moe", false, true}, "experts without a shared one"},
                 {{"moe_layer_num_skipped", TR_OTHER, 0}, "layers without experts"}},
    .norm = KN_RMS_NORM,
    .qk_kind = KN_RMS_NORM,
    .qk_norm = TR_QK_PER_HEAD,
    .qk_norm_turned = true,
    .qkv = TR_QKV_SEPARATE,
    .rope_alpha = true,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_HEAD_DIM] = {"head_dim", TR_REQUIRED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"attention_bias", false},
            [TR_K_OUT_BIAS] = {"attention_bias", false},
            [TR_K_QK_NORM] = {NULL, true},
            [TR_K_EXPERTS] = {"num_experts", 1, .alike = true},
            [TR_K_EXPERTS_USED] = {"moe_topk", 1, .alike = true},
            [TR_K_EXPERT_FFN] = {"moe_intermediate_size", TR_DERIVED, .alike = true},
            [TR_K_SHARED_EXPERTS] = {"num_shared_expert", 1, .alike = true},
            [TR_K_NORMALISE_TOP] = {NULL, true},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_EXPERTS_AS_QWEN,
            [TR_W_Q_NORM] = "model.layers.{layer}.self_attn.query_layernorm.weight",
            [TR_W_K_NORM] = "model.layers.{layer}.self_attn.key_layernorm.weight",
            [TR_W_ROUTER] = "model.layers.{layer}.mlp.gate.wg.weight",
            [TR_W_SHARED_GATE] = "model.layers.{layer}.mlp.shared_mlp.gate_proj.weight",
            [TR_W_SHARED_UP] = "model.layers.{layer}.mlp.shared_mlp.up_proj.weight",
            [TR_W_SHARED_DOWN] = "model.layers.{layer}.mlp.shared_mlp.down_proj.weight",
        },
};
