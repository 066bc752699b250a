// SPDX-License-Identifier: Apache-2.0
// The table of families. Defaults are those of the configuration classes in transformers, which
// config.json may omit; sizes have no default worth having and are required.
#include "family.h"

#include <string.h>

#define SIZES_AS_LLAMA                                                                             \
    [TR_K_LAYERS] = {"num_hidden_layers", TR_REQUIRED},                                            \
    [TR_K_HIDDEN] = {"hidden_size", TR_REQUIRED},                                                  \
    [TR_K_HEADS] = {"num_attention_heads", TR_REQUIRED},                                           \
    [TR_K_FFN] = {"intermediate_size", TR_REQUIRED},                                               \
    [TR_K_VOCABULARY] = {"vocab_size", TR_REQUIRED},                                               \
    [TR_K_POSITIONS] = {"max_position_embeddings", 2048}

static const struct tr_family families[] = {
    {
        .model_type = "llama",
        .series = "Amber, K2, TinyLlama, SmolLM2, MAP-Neo, DeepSeek-LLM, Lucie, OpenCoder, Yi",
        .norm = KN_RMS_NORM,
        .qkv = TR_QKV_SEPARATE,
        .gated = true,
        .activation_key = "hidden_act",
        .activation = "silu",
        .keys =
            {SIZES_AS_LLAMA, [TR_K_KV_HEADS] = {"num_key_value_heads", TR_DERIVED},
             [TR_K_HEAD_DIM] = {"head_dim", TR_DERIVED}, [TR_K_EPSILON] = {"rms_norm_eps", 1e-6},
             [TR_K_ROPE_THETA] = {"rope_theta", 10000}, [TR_K_ROTARY_FRACTION] = {NULL, 1},
             [TR_K_ATTENTION_BIAS] = {"attention_bias", false},
             [TR_K_MLP_BIAS] = {"mlp_bias", false}, [TR_K_PARALLEL] = {NULL, false},
             [TR_K_TIED] = {"tie_word_embeddings", false}},
        .weights = {[TR_W_EMBED] = "model.embed_tokens.weight",
                    [TR_W_ATTN_NORM] = "model.layers.%d.input_layernorm.weight",
                    [TR_W_Q] = "model.layers.%d.self_attn.q_proj.weight",
                    [TR_W_Q_BIAS] = "model.layers.%d.self_attn.q_proj.bias",
                    [TR_W_K] = "model.layers.%d.self_attn.k_proj.weight",
                    [TR_W_K_BIAS] = "model.layers.%d.self_attn.k_proj.bias",
                    [TR_W_V] = "model.layers.%d.self_attn.v_proj.weight",
                    [TR_W_V_BIAS] = "model.layers.%d.self_attn.v_proj.bias",
                    [TR_W_O] = "model.layers.%d.self_attn.o_proj.weight",
                    [TR_W_O_BIAS] = "model.layers.%d.self_attn.o_proj.bias",
                    [TR_W_MLP_NORM] = "model.layers.%d.post_attention_layernorm.weight",
                    [TR_W_GATE] = "model.layers.%d.mlp.gate_proj.weight",
                    [TR_W_GATE_BIAS] = "model.layers.%d.mlp.gate_proj.bias",
                    [TR_W_UP] = "model.layers.%d.mlp.up_proj.weight",
                    [TR_W_UP_BIAS] = "model.layers.%d.mlp.up_proj.bias",
                    [TR_W_DOWN] = "model.layers.%d.mlp.down_proj.weight",
                    [TR_W_DOWN_BIAS] = "model.layers.%d.mlp.down_proj.bias",
                    [TR_W_FINAL_NORM] = "model.norm.weight",
                    [TR_W_HEAD] = "lm_head.weight"},
    },
    {
        .model_type = "gpt_neox",
        .series = "Pythia, PolyPythias, RedPajama-INCITE",
        .norm = KN_LAYER_NORM,
        .qkv = TR_QKV_PER_HEAD,
        .gated = false,
        .activation_key = "hidden_act",
        .activation = "gelu",
        .keys = {SIZES_AS_LLAMA, [TR_K_KV_HEADS] = {NULL, TR_DERIVED},
                 [TR_K_HEAD_DIM] = {NULL, TR_DERIVED}, [TR_K_EPSILON] = {"layer_norm_eps", 1e-5},
                 [TR_K_ROPE_THETA] = {"rotary_emb_base", 10000},
                 [TR_K_ROTARY_FRACTION] = {"rotary_pct", 0.25},
                 [TR_K_ATTENTION_BIAS] = {"attention_bias", true}, [TR_K_MLP_BIAS] = {NULL, true},
                 [TR_K_PARALLEL] = {"use_parallel_residual", true},
                 [TR_K_TIED] = {"tie_word_embeddings", false}},
        .weights = {[TR_W_EMBED] = "gpt_neox.embed_in.weight",
                    [TR_W_ATTN_NORM] = "gpt_neox.layers.%d.input_layernorm.weight",
                    [TR_W_ATTN_NORM_BIAS] = "gpt_neox.layers.%d.input_layernorm.bias",
                    [TR_W_QKV] = "gpt_neox.layers.%d.attention.query_key_value.weight",
                    [TR_W_QKV_BIAS] = "gpt_neox.layers.%d.attention.query_key_value.bias",
                    [TR_W_O] = "gpt_neox.layers.%d.attention.dense.weight",
                    [TR_W_O_BIAS] = "gpt_neox.layers.%d.attention.dense.bias",
                    [TR_W_MLP_NORM] = "gpt_neox.layers.%d.post_attention_layernorm.weight",
                    [TR_W_MLP_NORM_BIAS] = "gpt_neox.layers.%d.post_attention_layernorm.bias",
                    [TR_W_UP] = "gpt_neox.layers.%d.mlp.dense_h_to_4h.weight",
                    [TR_W_UP_BIAS] = "gpt_neox.layers.%d.mlp.dense_h_to_4h.bias",
                    [TR_W_DOWN] = "gpt_neox.layers.%d.mlp.dense_4h_to_h.weight",
                    [TR_W_DOWN_BIAS] = "gpt_neox.layers.%d.mlp.dense_4h_to_h.bias",
                    [TR_W_FINAL_NORM] = "gpt_neox.final_layer_norm.weight",
                    [TR_W_FINAL_NORM_BIAS] = "gpt_neox.final_layer_norm.bias",
                    [TR_W_HEAD] = "embed_out.weight"},
    },
};

enum { FAMILIES = sizeof families / sizeof families[0] };

const struct tr_family *tr_family_at(int index) {
    return index >= 0 && index < FAMILIES ? &families[index] : NULL;
}

const struct tr_family *tr_family_find(const char *model_type) {
    for (int i = 0; i < FAMILIES; i++)
        if (strcmp(families[i].model_type, model_type) == 0)
            return &families[i];
    return NULL;
}

// Levenshtein distance of two short strings; text past 63 characters is ignored.
static int edit_distance(const char *a, const char *b) {
    int row[64];
    int na = (int)strnlen(a, 63), nb = (int)strnlen(b, 63);
    for (int j = 0; j <= nb; j++)
        row[j] = j;
    for (int i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int replace = diagonal + (a[i - 1] != b[j - 1]);
            int insert = row[j - 1] + 1, erase = row[j] + 1;
            diagonal = row[j];
            row[j] = replace < insert ? replace : insert;
            row[j] = row[j] < erase ? row[j] : erase;
        }
    }
    return row[nb];
}

const char *tr_family_nearest(const char *model_type) {
    int best = 0;
    for (int i = 1; i < FAMILIES; i++)
        if (edit_distance(families[i].model_type, model_type) <
            edit_distance(families[best].model_type, model_type))
            best = i;
    return families[best].model_type;
}
