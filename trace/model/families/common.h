// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FAMILIES_COMMON_H
#define TR_FAMILIES_COMMON_H

#include "model/family.h"

// Spellings that many families share. A family's own entries come after and override them.

#define TR_SIZES_AS_LLAMA                                                                          \
    [TR_K_LAYERS] = {"num_hidden_layers", TR_REQUIRED},                                            \
    [TR_K_HIDDEN] = {"hidden_size", TR_REQUIRED},                                                  \
    [TR_K_HEADS] = {"num_attention_heads", TR_REQUIRED},                                           \
    [TR_K_FFN] = {"intermediate_size", TR_REQUIRED},                                               \
    [TR_K_VOCABULARY] = {"vocab_size", TR_REQUIRED},                                               \
    [TR_K_POSITIONS] = {"max_position_embeddings", 2048}

// model.layers.N.self_attn.{q,k,v,o}_proj and the two norms before the sublayers.
#define TR_ATTENTION_AS_LLAMA                                                                      \
    [TR_W_EMBED] = "model.embed_tokens.weight",                                                    \
    [TR_W_ATTN_NORM] = "model.layers.{layer}.input_layernorm.weight",                              \
    [TR_W_Q] = "model.layers.{layer}.self_attn.q_proj.weight",                                     \
    [TR_W_Q_BIAS] = "model.layers.{layer}.self_attn.q_proj.bias",                                  \
    [TR_W_K] = "model.layers.{layer}.self_attn.k_proj.weight",                                     \
    [TR_W_K_BIAS] = "model.layers.{layer}.self_attn.k_proj.bias",                                  \
    [TR_W_V] = "model.layers.{layer}.self_attn.v_proj.weight",                                     \
    [TR_W_V_BIAS] = "model.layers.{layer}.self_attn.v_proj.bias",                                  \
    [TR_W_O] = "model.layers.{layer}.self_attn.o_proj.weight",                                     \
    [TR_W_O_BIAS] = "model.layers.{layer}.self_attn.o_proj.bias",                                  \
    [TR_W_MLP_NORM] = "model.layers.{layer}.post_attention_layernorm.weight",                      \
    [TR_W_FINAL_NORM] = "model.norm.weight", [TR_W_HEAD] = "lm_head.weight"

// model.layers.N.mlp.{gate,up,down}_proj.
#define TR_MLP_AS_LLAMA                                                                            \
    [TR_W_GATE] = "model.layers.{layer}.mlp.gate_proj.weight",                                     \
    [TR_W_GATE_BIAS] = "model.layers.{layer}.mlp.gate_proj.bias",                                  \
    [TR_W_UP] = "model.layers.{layer}.mlp.up_proj.weight",                                         \
    [TR_W_UP_BIAS] = "model.layers.{layer}.mlp.up_proj.bias",                                      \
    [TR_W_DOWN] = "model.layers.{layer}.mlp.down_proj.weight",                                     \
    [TR_W_DOWN_BIAS] = "model.layers.{layer}.mlp.down_proj.bias"

// model.layers.N.mlp.gate and model.layers.N.mlp.experts.E.{gate,up,down}_proj.
#define TR_EXPERTS_AS_QWEN                                                                         \
    [TR_W_ROUTER] = "model.layers.{layer}.mlp.gate.weight",                                        \
    [TR_W_EXPERT_GATE] = "model.layers.{layer}.mlp.experts.{expert}.gate_proj.weight",             \
    [TR_W_EXPERT_UP] = "model.layers.{layer}.mlp.experts.{expert}.up_proj.weight",                 \
    [TR_W_EXPERT_DOWN] = "model.layers.{layer}.mlp.experts.{expert}.down_proj.weight"

#endif
