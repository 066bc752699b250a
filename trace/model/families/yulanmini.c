// SPDX-License-Identifier: Apache-2.0
#include "common.h"
#include "model/rope.h"

// As llama, with muP's multipliers and with learned ones of what products and norms give.
const struct tr_family tr_family_yulanmini = {
    .model_type = "yulanmini",
    .series = "YuLan-Mini",
    .training = "YuLan-Mini",
    .tokenizer_read = true,
    .refusals = {{{"qk_layernorm", true, false}, "norms of queries and keys"},
                 {{"embedding_ln", true, false}, "a norm of the embedding"},
                 {{"embedding_rmsln", true, false}, "a norm of the embedding"},
                 {{"use_emb_alpha", true, false}, "a learned multiplier of the embedding"},
                 {{"use_sliding_window", true, false}, "attention windows"},
                 {{"ln_scale", TR_OTHER, 1}, "a multiplier of all norms"}},
    .words = {{"rms_type", "llama", "llama"}},
    .norm = KN_RMS_NORM,
    .qkv = TR_QKV_SEPARATE,
    .rope_objects = TR_ROPE_SCALING_ONLY,
    .rope_types = 1 << TR_ROPE_LINEAR | 1 << TR_ROPE_DYNAMIC,
    .gated = true,
    .residual_shrinks = true,
    .logits_by_width = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 4096},
            [TR_K_KV_HEADS] = {"num_key_value_heads", 6},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"attention_bias", true},
            [TR_K_MULTIPLIERS] = {"wesar_weights", true},
            [TR_K_NORM_MULTIPLIERS] = {"use_norm_alpha", true},
            [TR_K_SCORE_BASE] = {"dim_model_base_attn", TR_DERIVED},
            [TR_K_EMBED_SCALE] = {"scale_emb", 1},
            [TR_K_RESIDUAL_SCALE] = {"hidden_states_shrink", 1},
            [TR_K_LOGIT_SCALE] = {"dim_model_base_logits", TR_DERIVED},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            TR_ATTENTION_AS_LLAMA,
            TR_MLP_AS_LLAMA,
            [TR_W_ATTN_NORM_TIMES] = "model.layers.{layer}.input_layernorm_alpha",
            [TR_W_Q_TIMES] = "model.layers.{layer}.self_attn.q_proj_alpha",
            [TR_W_K_TIMES] = "model.layers.{layer}.self_attn.k_proj_alpha",
            [TR_W_V_TIMES] = "model.layers.{layer}.self_attn.v_proj_alpha",
            [TR_W_O_TIMES] = "model.layers.{layer}.self_attn.o_proj_alpha",
            [TR_W_MLP_NORM_TIMES] = "model.layers.{layer}.post_attention_layernorm_alpha",
            [TR_W_GATE_UP_TIMES] = "model.layers.{layer}.gate_up_proj_alpha",
            [TR_W_DOWN_TIMES] = "model.layers.{layer}.down_proj_alpha",
            [TR_W_FINAL_NORM_TIMES] = "model.norm_alpha",
            [TR_W_HEAD_TIMES] = "lm_head_alpha",
        },
};
