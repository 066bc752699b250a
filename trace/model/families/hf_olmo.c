// SPDX-License-Identifier: Apache-2.0
// OLMo as its own library spells it, before transformers had a class for it. Early files say
// "olmo", which has that class now. Norms have no weights, or RMS norms have them.
#include "common.h"

#define HF_OLMO                                                                                    \
    .model_type = "hf_olmo", .also = "olmo", .prefix = "model.", .rope_objects = TR_ROPE_NONE,     \
    .qkv = TR_QKV_CONCATENATED, .gated = true, .up_first = true, .ffn_counts_gate = true,          \
    .activation = "silu",                                                                          \
    .refusals = {{{"rope", false, false}, "positions that do not turn"},                           \
                 {{"alibi", true, false}, "ALiBi"},                                                \
                 {{"include_bias", true, true}, "products with biases"},                           \
                 {{"bias_for_layer_norm", true, false}, "norms with biases"},                      \
                 {{"attention_layer_norm", true, false}, "norms of queries and keys"},             \
                 {{"embedding_layer_norm", true, false}, "a norm of the embedding"},               \
                 {{"norm_after", true, false}, "norms behind the sublayers"},                      \
                 {{"multi_query_attention", true, false}, "multi_query_attention"},                \
                 {{"scale_logits", true, false}, "logits that are scaled"}}

#define HF_OLMO_WORDS(norm)                                                                        \
    {"layer_norm_type", norm, "default"}, {"activation_type", "swiglu", "swiglu"}, {               \
        "block_type", "sequential", "sequential"                                                   \
    }

#define HF_OLMO_KEYS                                                                               \
    [TR_K_LAYERS] = {"n_layers", TR_REQUIRED}, [TR_K_HIDDEN] = {"d_model", TR_REQUIRED},           \
    [TR_K_HEADS] = {"n_heads", TR_REQUIRED}, [TR_K_KV_HEADS] = {"n_kv_heads", TR_DERIVED},         \
    [TR_K_FFN] = {"mlp_hidden_size", TR_DERIVED}, [TR_K_FFN_RATIO] = {"mlp_ratio", 4},             \
    [TR_K_VOCABULARY] = {"vocab_size", TR_REQUIRED, "embedding_size"},                             \
    [TR_K_POSITIONS] = {"max_sequence_length", 1024}, [TR_K_EPSILON] = {"layer_norm_eps", 1e-5},   \
    [TR_K_ROPE_THETA] = {"rope_theta", 10000}, [TR_K_CLIP_QKV] = {"clip_qkv", 0},                  \
    [TR_K_TIED] = {"weight_tying", true}

#define HF_OLMO_WEIGHTS                                                                            \
    [TR_W_EMBED] = "model.transformer.wte.weight",                                                 \
    [TR_W_QKV] = "model.transformer.blocks.{layer}.att_proj.weight",                               \
    [TR_W_O] = "model.transformer.blocks.{layer}.attn_out.weight",                                 \
    [TR_W_GATE_UP] = "model.transformer.blocks.{layer}.ff_proj.weight",                            \
    [TR_W_DOWN] = "model.transformer.blocks.{layer}.ff_out.weight",                                \
    [TR_W_HEAD] = "model.transformer.ff_out.weight"

const struct tr_family tr_family_hf_olmo_plain = {
    HF_OLMO,
    .series = "OLMo 1B and 7B of February 2024",
    .training = "OLMo of February 2024",
    .tokenizer_read = true,
    .when = {"layer_norm_with_affine", false, true},
    .words = {HF_OLMO_WORDS("default")},
    .norm = KN_LAYER_NORM,
    .keys = {HF_OLMO_KEYS},
    .weights = {HF_OLMO_WEIGHTS},
};

const struct tr_family tr_family_hf_olmo = {
    HF_OLMO,
    .series = "DataDecide",
    .training = "DataDecide",
    .tokenizer_read = true,
    .words = {HF_OLMO_WORDS("rms")},
    .norm = KN_RMS_NORM,
    .keys = {HF_OLMO_KEYS},
    .weights =
        {HF_OLMO_WEIGHTS, [TR_W_ATTN_NORM] = "model.transformer.blocks.{layer}.attn_norm.weight",
         [TR_W_MLP_NORM] = "model.transformer.blocks.{layer}.ff_norm.weight",
         [TR_W_FINAL_NORM] = "model.transformer.ln_f.weight"},
};
