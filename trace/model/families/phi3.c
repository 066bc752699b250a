// SPDX-License-Identifier: Apache-2.0
#include "common.h"
#include "model/rope.h"

const struct tr_family tr_family_phi3 = {
    .model_type = "phi3",
    .series = "Phi-3, Phi-3.5, Phi-4",
    .tokenizer_read = true,
    .norm = KN_RMS_NORM,
    .rope_types = 1 << TR_ROPE_LONG,
    .qkv = TR_QKV_CONCATENATED,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_POSITIONS] = {"max_position_embeddings", 4096},
            [TR_K_ORIGINAL_LENGTH] = {"original_max_position_embeddings", 4096},
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-5},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_ROTARY_FRACTION] = {"partial_rotary_factor", 1},
            [TR_K_TIED] = {"tie_word_embeddings", false},
            [TR_K_WINDOW] = {"sliding_window", 0},
        },
    .weights =
        {
            [TR_W_EMBED] = "model.embed_tokens.weight",
            [TR_W_ATTN_NORM] = "model.layers.{layer}.input_layernorm.weight",
            [TR_W_QKV] = "model.layers.{layer}.self_attn.qkv_proj.weight",
            [TR_W_O] = "model.layers.{layer}.self_attn.o_proj.weight",
            [TR_W_MLP_NORM] = "model.layers.{layer}.post_attention_layernorm.weight",
            [TR_W_GATE_UP] = "model.layers.{layer}.mlp.gate_up_proj.weight",
            [TR_W_DOWN] = "model.layers.{layer}.mlp.down_proj.weight",
            [TR_W_FINAL_NORM] = "model.norm.weight",
            [TR_W_HEAD] = "lm_head.weight",
        },
};
