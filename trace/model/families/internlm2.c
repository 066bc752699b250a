// SPDX-License-Identifier: Apache-2.0
#include "common.h"
#include "model/rope.h"

const struct tr_family tr_family_internlm2 = {
    .model_type = "internlm2",
    .series = "InternLM2, InternLM2.5",
    .tokenizer_read = true,
    .norm = KN_RMS_NORM,
    .rope_objects = TR_ROPE_SCALING_ONLY,
    .rope_types = 1 << TR_ROPE_LINEAR | 1 << TR_ROPE_DYNAMIC,
    .qkv = TR_QKV_PER_KV_HEAD,
    .gated = true,
    .activation_key = "hidden_act",
    .activation = "silu",
    .keys =
        {
            TR_SIZES_AS_LLAMA,
            [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
            [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
            [TR_K_ROPE_THETA] = {"rope_theta", 10000},
            [TR_K_QKV_BIAS] = {"bias", true},
            [TR_K_OUT_BIAS] = {"bias", true},
            [TR_K_TIED] = {"tie_word_embeddings", false},
        },
    .weights =
        {
            [TR_W_EMBED] = "model.tok_embeddings.weight",
            [TR_W_ATTN_NORM] = "model.layers.{layer}.attention_norm.weight",
            [TR_W_QKV] = "model.layers.{layer}.attention.wqkv.weight",
            [TR_W_QKV_BIAS] = "model.layers.{layer}.attention.wqkv.bias",
            [TR_W_O] = "model.layers.{layer}.attention.wo.weight",
            [TR_W_O_BIAS] = "model.layers.{layer}.attention.wo.bias",
            [TR_W_MLP_NORM] = "model.layers.{layer}.ffn_norm.weight",
            [TR_W_GATE] = "model.layers.{layer}.feed_forward.w1.weight",
            [TR_W_UP] = "model.layers.{layer}.feed_forward.w3.weight",
            [TR_W_DOWN] = "model.layers.{layer}.feed_forward.w2.weight",
            [TR_W_FINAL_NORM] = "model.norm.weight",
            [TR_W_HEAD] = "output.weight",
        },
};
