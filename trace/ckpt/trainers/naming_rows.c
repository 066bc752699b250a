// SPDX-License-Identifier: Apache-2.0
#include "naming.h"

// Sources of the names: each project's own conversion to Hugging Face's. The first naming whose
// sign and model type fit counts.

#define END                                                                                        \
    { 0 }
#define HF_LAYER "model.layers.#."

// Llama of torchtitan (torchtitan/models/llama3/model/state_dict_adapter.py) and of Meta
// (transformers' convert_llama_weights_to_hf.py), split over ranks as in fairscale.
#define META_ROWS(qk)                                                                              \
    {"tok_embeddings.weight", "model.embed_tokens.weight", TR_VOCABULARY, TR_BY_EMBEDDING},        \
        {"output.weight", "lm_head.weight", TR_VOCABULARY, TR_BY_ROWS},                            \
        {"lm_head.weight", "lm_head.weight", TR_VOCABULARY, TR_BY_ROWS},                           \
        {"norm.weight", "model.norm.weight", 0, 0},                                                \
        {"layers.#.attention_norm.weight", HF_LAYER "input_layernorm.weight", 0, 0},               \
        {"layers.#.ffn_norm.weight", HF_LAYER "post_attention_layernorm.weight", 0, 0},            \
        {"layers.#.attention.wq.weight", HF_LAYER "self_attn.q_proj.weight", qk, TR_BY_ROWS},      \
        {"layers.#.attention.wk.weight", HF_LAYER "self_attn.k_proj.weight", qk, TR_BY_ROWS},      \
        {"layers.#.attention.wv.weight", HF_LAYER "self_attn.v_proj.weight", 0, TR_BY_ROWS},       \
        {"layers.#.attention.wo.weight", HF_LAYER "self_attn.o_proj.weight", 0, TR_BY_COLUMNS},    \
        {"layers.#.attention.qkv_linear.wq.weight", HF_LAYER "self_attn.q_proj.weight", qk,        \
         TR_BY_ROWS},                                                                              \
        {"layers.#.attention.qkv_linear.wk.weight", HF_LAYER "self_attn.k_proj.weight", qk,        \
         TR_BY_ROWS},                                                                              \
        {"layers.#.attention.qkv_linear.wv.weight", HF_LAYER "self_attn.v_proj.weight", 0,         \
         TR_BY_ROWS},                                                                              \
        {"layers.#.attention.wq.bias", HF_LAYER "self_attn.q_proj.bias", qk, TR_BY_ROWS},          \
        {"layers.#.attention.wk.bias", HF_LAYER "self_attn.k_proj.bias", qk, TR_BY_ROWS},          \
        {"layers.#.attention.wv.bias", HF_LAYER "self_attn.v_proj.bias", 0, TR_BY_ROWS},           \
        {"layers.#.attention.qkv_linear.wq.bias", HF_LAYER "self_attn.q_proj.bias", qk,            \
         TR_BY_ROWS},                                                                              \
        {"layers.#.attention.qkv_linear.wk.bias", HF_LAYER "self_attn.k_proj.bias", qk,            \
         TR_BY_ROWS},                                                                              \
        {"layers.#.attention.qkv_linear.wv.bias", HF_LAYER "self_attn.v_proj.bias", 0,             \
         TR_BY_ROWS},                                                                              \
        {"layers.#.attention.q_norm.weight", HF_LAYER "self_attn.q_norm.weight", 0, 0},            \
        {"layers.#.attention.k_norm.weight", HF_LAYER "self_attn.k_norm.weight", 0, 0},            \
        {"layers.#.feed_forward.w1.weight", HF_LAYER "mlp.gate_proj.weight", 0, TR_BY_ROWS},       \
        {"layers.#.feed_forward.w2.weight", HF_LAYER "mlp.down_proj.weight", 0, TR_BY_COLUMNS},    \
        {"layers.#.feed_forward.w3.weight", HF_LAYER "mlp.up_proj.weight", 0, TR_BY_ROWS},         \
        {"layers.#.moe.router.gate.weight", HF_LAYER "mlp.gate.weight", 0, 0},                     \
        {"layers.#.moe.experts.w1", HF_LAYER "mlp.experts.#.gate_proj.weight", 0, 0},              \
        {"layers.#.moe.experts.w2", HF_LAYER "mlp.experts.#.down_proj.weight", 0, 0},              \
        {"layers.#.moe.experts.w3", HF_LAYER "mlp.experts.#.up_proj.weight", 0, 0},                \
        {"layers.#.moe.routed_experts.inner_experts.w1_EFD",                                       \
         HF_LAYER "mlp.experts.#.gate_proj.weight", 0, 0},                                         \
        {"layers.#.moe.routed_experts.inner_experts.w2_EDF",                                       \
         HF_LAYER "mlp.experts.#.down_proj.weight", 0, 0},                                         \
        {"layers.#.moe.routed_experts.inner_experts.w3_EFD",                                       \
         HF_LAYER "mlp.experts.#.up_proj.weight", 0, 0},                                           \
        {"layers.#.moe.tokens_per_expert", NULL, 0, 0}, {"rope.freqs", NULL, 0, 0},                \
        {"rope.cache", NULL, 0, 0}, {"freqs_cis", NULL, 0, 0}, END

static const struct tr_naming_row llama_of_meta[] = {META_ROWS(TR_META_ORDER)};
static const struct tr_naming_row qwen_of_titan[] = {META_ROWS(TR_AS_IT_IS)};

// OLMo-core (src/olmo_core/nn/hf/convert.py). Norms behind the sublayers are OLMo 2's and 3's.
#define OLMO_ROWS(attention_norm, feed_forward_norm)                                               \
    {"embeddings.weight", "model.embed_tokens.weight", TR_VOCABULARY, 0},                          \
        {"lm_head.norm.weight", "model.norm.weight", 0, 0},                                        \
        {"lm_head.w_out.weight", "lm_head.weight", TR_VOCABULARY, 0},                              \
        {"blocks.#.attention.w_q.weight", HF_LAYER "self_attn.q_proj.weight", 0, 0},               \
        {"blocks.#.attention.w_k.weight", HF_LAYER "self_attn.k_proj.weight", 0, 0},               \
        {"blocks.#.attention.w_v.weight", HF_LAYER "self_attn.v_proj.weight", 0, 0},               \
        {"blocks.#.attention.w_out.weight", HF_LAYER "self_attn.o_proj.weight", 0, 0},             \
        {"blocks.#.attention.q_norm.weight", HF_LAYER "self_attn.q_norm.weight", 0, 0},            \
        {"blocks.#.attention.k_norm.weight", HF_LAYER "self_attn.k_norm.weight", 0, 0},            \
        {"blocks.#.attention_norm.weight", HF_LAYER attention_norm ".weight", 0, 0},               \
        {"blocks.#.feed_forward.w1.weight", HF_LAYER "mlp.gate_proj.weight", 0, 0},                \
        {"blocks.#.feed_forward.w2.weight", HF_LAYER "mlp.down_proj.weight", 0, 0},                \
        {"blocks.#.feed_forward.w3.weight", HF_LAYER "mlp.up_proj.weight", 0, 0},                  \
        {"blocks.#.feed_forward_norm.weight", HF_LAYER feed_forward_norm ".weight", 0, 0}, END

static const struct tr_naming_row olmo_behind[] = {
    OLMO_ROWS("post_attention_layernorm", "post_feedforward_layernorm")};
static const struct tr_naming_row olmo_before[] = {
    OLMO_ROWS("input_layernorm", "post_attention_layernorm")};

// litgpt (litgpt/scripts/convert_lit_checkpoint.py).
#define LIT_LAYER "transformer.h.#."
static const struct tr_naming_row lit_llama[] = {
    {"transformer.wte.weight", "model.embed_tokens.weight", TR_VOCABULARY, 0},
    {"lm_head.weight", "lm_head.weight", TR_VOCABULARY, 0},
    {"transformer.ln_f.weight", "model.norm.weight", 0, 0},
    {LIT_LAYER "norm_1.weight", HF_LAYER "input_layernorm.weight", 0, 0},
    {LIT_LAYER "norm_2.weight", HF_LAYER "post_attention_layernorm.weight", 0, 0},
    {LIT_LAYER "attn.qkv.weight", HF_LAYER "self_attn.q_proj.weight", TR_STACK_Q, 0},
    {LIT_LAYER "attn.qkv.weight", HF_LAYER "self_attn.k_proj.weight", TR_STACK_K, 0},
    {LIT_LAYER "attn.qkv.weight", HF_LAYER "self_attn.v_proj.weight", TR_STACK_V, 0},
    {LIT_LAYER "attn.qkv.bias", HF_LAYER "self_attn.q_proj.bias", TR_STACK_Q, 0},
    {LIT_LAYER "attn.qkv.bias", HF_LAYER "self_attn.k_proj.bias", TR_STACK_K, 0},
    {LIT_LAYER "attn.qkv.bias", HF_LAYER "self_attn.v_proj.bias", TR_STACK_V, 0},
    {LIT_LAYER "attn.norm_q.weight", HF_LAYER "self_attn.q_norm.weight", 0, 0},
    {LIT_LAYER "attn.norm_k.weight", HF_LAYER "self_attn.k_norm.weight", 0, 0},
    {LIT_LAYER "attn.proj.weight", HF_LAYER "self_attn.o_proj.weight", 0, 0},
    {LIT_LAYER "mlp.fc_1.weight", HF_LAYER "mlp.gate_proj.weight", 0, 0},
    {LIT_LAYER "mlp.fc_2.weight", HF_LAYER "mlp.up_proj.weight", 0, 0},
    {LIT_LAYER "mlp.proj.weight", HF_LAYER "mlp.down_proj.weight", 0, 0},
    END};

#define NEOX_LAYER "gpt_neox.layers.#."
static const struct tr_naming_row lit_neox[] = {
    {"transformer.wte.weight", "gpt_neox.embed_in.weight", TR_VOCABULARY, 0},
    {"lm_head.weight", "embed_out.weight", TR_VOCABULARY, 0},
    {"transformer.ln_f.weight", "gpt_neox.final_layer_norm.weight", 0, 0},
    {"transformer.ln_f.bias", "gpt_neox.final_layer_norm.bias", 0, 0},
    {LIT_LAYER "norm_1.weight", NEOX_LAYER "input_layernorm.weight", 0, 0},
    {LIT_LAYER "norm_1.bias", NEOX_LAYER "input_layernorm.bias", 0, 0},
    {LIT_LAYER "norm_2.weight", NEOX_LAYER "post_attention_layernorm.weight", 0, 0},
    {LIT_LAYER "norm_2.bias", NEOX_LAYER "post_attention_layernorm.bias", 0, 0},
    {LIT_LAYER "attn.qkv.weight", NEOX_LAYER "attention.query_key_value.weight", TR_STACK_HEADS, 0},
    {LIT_LAYER "attn.qkv.bias", NEOX_LAYER "attention.query_key_value.bias", TR_STACK_HEADS, 0},
    {LIT_LAYER "attn.proj.weight", NEOX_LAYER "attention.dense.weight", 0, 0},
    {LIT_LAYER "attn.proj.bias", NEOX_LAYER "attention.dense.bias", 0, 0},
    {LIT_LAYER "mlp.fc.weight", NEOX_LAYER "mlp.dense_h_to_4h.weight", 0, 0},
    {LIT_LAYER "mlp.fc.bias", NEOX_LAYER "mlp.dense_h_to_4h.bias", 0, 0},
    {LIT_LAYER "mlp.proj.weight", NEOX_LAYER "mlp.dense_4h_to_h.weight", 0, 0},
    {LIT_LAYER "mlp.proj.bias", NEOX_LAYER "mlp.dense_4h_to_h.bias", 0, 0},
    END};

// nanoGPT keeps in nn.Linear's orientation what transformers' GPT-2 keeps in Conv1D's (model.py,
// from_pretrained).
static const struct tr_naming_row nano_gpt[] = {
    {LIT_LAYER "attn.c_attn.weight", LIT_LAYER "attn.c_attn.weight", TR_TRANSPOSED, 0},
    {LIT_LAYER "attn.c_proj.weight", LIT_LAYER "attn.c_proj.weight", TR_TRANSPOSED, 0},
    {LIT_LAYER "mlp.c_fc.weight", LIT_LAYER "mlp.c_fc.weight", TR_TRANSPOSED, 0},
    {LIT_LAYER "mlp.c_proj.weight", LIT_LAYER "mlp.c_proj.weight", TR_TRANSPOSED, 0},
    {"transformer.wte.weight", "transformer.wte.weight", TR_VOCABULARY, 0},
    {"lm_head.weight", "lm_head.weight", TR_VOCABULARY, 0},
    END};

// Megatron-LM: megatron-core's names, with the norms of either specification; without the number
// layers are stacked (torch_dist). Rows of ranks as megatron/core/tensor_parallel cuts them.
// `L`: the beginning of a layer's names.
#define MEGATRON_ENDS(split)                                                                       \
    {"*._extra_state", NULL, 0, 0},                                                                \
        {"embedding.word_embeddings.weight", "model.embed_tokens.weight", TR_VOCABULARY, split},   \
        {"output_layer.weight", "lm_head.weight", TR_VOCABULARY, split}, {                         \
        "decoder.final_layernorm.weight", "model.norm.weight", 0, 0                                \
    }
#define MEGATRON_LAYER(L, rows, columns, halves)                                                   \
    {L "input_layernorm.weight", HF_LAYER "input_layernorm.weight", 0, 0},                         \
        {L "self_attention.linear_qkv.layer_norm_weight", HF_LAYER "input_layernorm.weight", 0,    \
         0},                                                                                       \
        {L "pre_mlp_layernorm.weight", HF_LAYER "post_attention_layernorm.weight", 0, 0},          \
        {L "mlp.linear_fc1.layer_norm_weight", HF_LAYER "post_attention_layernorm.weight", 0, 0},  \
        {L "self_attention.linear_qkv.weight", HF_LAYER "self_attn.q_proj.weight", TR_GROUP_Q,     \
         rows},                                                                                    \
        {L "self_attention.linear_qkv.weight", HF_LAYER "self_attn.k_proj.weight", TR_GROUP_K,     \
         rows},                                                                                    \
        {L "self_attention.linear_qkv.weight", HF_LAYER "self_attn.v_proj.weight", TR_GROUP_V,     \
         rows},                                                                                    \
        {L "self_attention.linear_qkv.bias", HF_LAYER "self_attn.q_proj.bias", TR_GROUP_Q, rows},  \
        {L "self_attention.linear_qkv.bias", HF_LAYER "self_attn.k_proj.bias", TR_GROUP_K, rows},  \
        {L "self_attention.linear_qkv.bias", HF_LAYER "self_attn.v_proj.bias", TR_GROUP_V, rows},  \
        {L "self_attention.q_layernorm.weight", HF_LAYER "self_attn.q_norm.weight", 0, 0},         \
        {L "self_attention.k_layernorm.weight", HF_LAYER "self_attn.k_norm.weight", 0, 0},         \
        {L "self_attention.linear_proj.weight", HF_LAYER "self_attn.o_proj.weight", 0, columns},   \
        {L "mlp.linear_fc1.weight", HF_LAYER "mlp.gate_proj.weight", TR_FIRST_HALF, halves},       \
        {L "mlp.linear_fc1.weight", HF_LAYER "mlp.up_proj.weight", TR_SECOND_HALF, halves}, {      \
        L "mlp.linear_fc2.weight", HF_LAYER "mlp.down_proj.weight", 0, columns                     \
    }

#define MEGATRON_NEOX_ENDS                                                                         \
    {"*._extra_state", NULL, 0, 0},                                                                \
        {"embedding.word_embeddings.weight", "gpt_neox.embed_in.weight", TR_VOCABULARY,            \
         TR_BY_ROWS},                                                                              \
        {"output_layer.weight", "embed_out.weight", TR_VOCABULARY, TR_BY_ROWS},                    \
        {"decoder.final_layernorm.weight", "gpt_neox.final_layer_norm.weight", 0, 0}, {            \
        "decoder.final_layernorm.bias", "gpt_neox.final_layer_norm.bias", 0, 0                     \
    }
#define MEGATRON_NEOX_LAYER(L)                                                                     \
    {L "input_layernorm.weight", NEOX_LAYER "input_layernorm.weight", 0, 0},                       \
        {L "input_layernorm.bias", NEOX_LAYER "input_layernorm.bias", 0, 0},                       \
        {L "self_attention.linear_qkv.layer_norm_weight", NEOX_LAYER "input_layernorm.weight", 0,  \
         0},                                                                                       \
        {L "self_attention.linear_qkv.layer_norm_bias", NEOX_LAYER "input_layernorm.bias", 0, 0},  \
        {L "pre_mlp_layernorm.weight", NEOX_LAYER "post_attention_layernorm.weight", 0, 0},        \
        {L "pre_mlp_layernorm.bias", NEOX_LAYER "post_attention_layernorm.bias", 0, 0},            \
        {L "mlp.linear_fc1.layer_norm_weight", NEOX_LAYER "post_attention_layernorm.weight", 0,    \
         0},                                                                                       \
        {L "mlp.linear_fc1.layer_norm_bias", NEOX_LAYER "post_attention_layernorm.bias", 0, 0},    \
        {L "self_attention.linear_qkv.weight", NEOX_LAYER "attention.query_key_value.weight", 0,   \
         TR_BY_ROWS},                                                                              \
        {L "self_attention.linear_qkv.bias", NEOX_LAYER "attention.query_key_value.bias", 0,       \
         TR_BY_ROWS},                                                                              \
        {L "self_attention.linear_proj.weight", NEOX_LAYER "attention.dense.weight", 0,            \
         TR_BY_COLUMNS},                                                                           \
        {L "self_attention.linear_proj.bias", NEOX_LAYER "attention.dense.bias", 0, 0},            \
        {L "mlp.linear_fc1.weight", NEOX_LAYER "mlp.dense_h_to_4h.weight", 0, TR_BY_ROWS},         \
        {L "mlp.linear_fc1.bias", NEOX_LAYER "mlp.dense_h_to_4h.bias", 0, TR_BY_ROWS},             \
        {L "mlp.linear_fc2.weight", NEOX_LAYER "mlp.dense_4h_to_h.weight", 0, TR_BY_COLUMNS}, {    \
        L "mlp.linear_fc2.bias", NEOX_LAYER "mlp.dense_4h_to_h.bias", 0, 0                         \
    }

static const struct tr_naming_row megatron_llama[] = {
    MEGATRON_ENDS(TR_BY_ROWS),
    MEGATRON_LAYER("decoder.layers.#.", TR_BY_ROWS, TR_BY_COLUMNS, TR_BY_HALVES), END};
static const struct tr_naming_row megatron_neox[] = {MEGATRON_NEOX_ENDS,
                                                     MEGATRON_NEOX_LAYER("decoder.layers.#."), END};
static const struct tr_naming_row megatron_llama_stacked[] = {
    MEGATRON_ENDS(TR_BY_ROWS),
    MEGATRON_LAYER("decoder.layers.", TR_BY_ROWS, TR_BY_COLUMNS, TR_BY_HALVES), END};
static const struct tr_naming_row megatron_neox_stacked[] = {
    MEGATRON_NEOX_ENDS, MEGATRON_NEOX_LAYER("decoder.layers."), END};

// Megatron-LM before megatron-core (tools/checkpoint/loader_llama_mistral.py and
// saver_megatron.py); the stack was called "transformer" before "encoder".
#define OLD_LAYER(L)                                                                               \
    {L "input_layernorm.weight", HF_LAYER "input_layernorm.weight", 0, 0},                         \
        {L "input_norm.weight", HF_LAYER "input_layernorm.weight", 0, 0},                          \
        {L "post_attention_layernorm.weight", HF_LAYER "post_attention_layernorm.weight", 0, 0},   \
        {L "post_attention_norm.weight", HF_LAYER "post_attention_layernorm.weight", 0, 0},        \
        {L "self_attention.query_key_value.weight", HF_LAYER "self_attn.q_proj.weight",            \
         TR_GROUP_Q, TR_BY_ROWS},                                                                  \
        {L "self_attention.query_key_value.weight", HF_LAYER "self_attn.k_proj.weight",            \
         TR_GROUP_K, TR_BY_ROWS},                                                                  \
        {L "self_attention.query_key_value.weight", HF_LAYER "self_attn.v_proj.weight",            \
         TR_GROUP_V, TR_BY_ROWS},                                                                  \
        {L "self_attention.dense.weight", HF_LAYER "self_attn.o_proj.weight", 0, TR_BY_COLUMNS},   \
        {L "mlp.dense_h_to_4h.weight", HF_LAYER "mlp.gate_proj.weight", TR_FIRST_HALF,             \
         TR_BY_HALVES},                                                                            \
        {L "mlp.dense_h_to_4h.weight", HF_LAYER "mlp.up_proj.weight", TR_SECOND_HALF,              \
         TR_BY_HALVES},                                                                            \
    {                                                                                              \
        L "mlp.dense_4h_to_h.weight", HF_LAYER "mlp.down_proj.weight", 0, TR_BY_COLUMNS            \
    }
#define OLD_ROWS(stack)                                                                            \
    {"*._extra_state", NULL, 0, 0}, {"*rotary_pos_emb*", NULL, 0, 0},                              \
        {"language_model.embedding.word_embeddings.weight", "model.embed_tokens.weight",           \
         TR_VOCABULARY, TR_BY_ROWS},                                                               \
        {"language_model.output_layer.weight", "lm_head.weight", TR_VOCABULARY, TR_BY_ROWS},       \
        {stack "final_layernorm.weight", "model.norm.weight", 0, 0},                               \
        {stack "final_norm.weight", "model.norm.weight", 0, 0}, OLD_LAYER(stack "layers.#."), END
static const struct tr_naming_row old_encoder[] = {OLD_ROWS("language_model.encoder.")};
static const struct tr_naming_row old_transformer[] = {OLD_ROWS("language_model.transformer.")};

// GPT-NeoX's layers by their number in its pipeline: the embedding is 0, the first block 2
// (tools/ckpts/convert_neox_to_hf.py).
#define SEQUENTIAL "sequential.#."
static const struct tr_naming_row neox_layers[] = {
    {SEQUENTIAL "word_embeddings.weight", "gpt_neox.embed_in.weight", TR_VOCABULARY, TR_BY_ROWS},
    {SEQUENTIAL "final_linear.weight", "embed_out.weight", TR_VOCABULARY, TR_BY_ROWS},
    {SEQUENTIAL "norm.weight", "gpt_neox.final_layer_norm.weight", 0, 0},
    {SEQUENTIAL "norm.bias", "gpt_neox.final_layer_norm.bias", 0, 0},
    {SEQUENTIAL "input_layernorm.weight", NEOX_LAYER "input_layernorm.weight", 0, 0},
    {SEQUENTIAL "input_layernorm.bias", NEOX_LAYER "input_layernorm.bias", 0, 0},
    {SEQUENTIAL "post_attention_layernorm.weight", NEOX_LAYER "post_attention_layernorm.weight", 0,
     0},
    {SEQUENTIAL "post_attention_layernorm.bias", NEOX_LAYER "post_attention_layernorm.bias", 0, 0},
    {SEQUENTIAL "attention.query_key_value.weight", NEOX_LAYER "attention.query_key_value.weight",
     0, TR_BY_ROWS},
    {SEQUENTIAL "attention.query_key_value.bias", NEOX_LAYER "attention.query_key_value.bias", 0,
     TR_BY_ROWS},
    {SEQUENTIAL "attention.dense.weight", NEOX_LAYER "attention.dense.weight", 0, TR_BY_COLUMNS},
    {SEQUENTIAL "attention.dense.bias", NEOX_LAYER "attention.dense.bias", 0, 0},
    {SEQUENTIAL "mlp.dense_h_to_4h.weight", NEOX_LAYER "mlp.dense_h_to_4h.weight", 0, TR_BY_ROWS},
    {SEQUENTIAL "mlp.dense_h_to_4h.bias", NEOX_LAYER "mlp.dense_h_to_4h.bias", 0, TR_BY_ROWS},
    {SEQUENTIAL "mlp.dense_4h_to_h.weight", NEOX_LAYER "mlp.dense_4h_to_h.weight", 0,
     TR_BY_COLUMNS},
    {SEQUENTIAL "mlp.dense_4h_to_h.bias", NEOX_LAYER "mlp.dense_4h_to_h.bias", 0, 0},
    {SEQUENTIAL "mlp.linear1.weight", NEOX_LAYER "mlp.dense_h_to_4h.weight", 0, TR_BY_ROWS},
    {SEQUENTIAL "mlp.linear1.bias", NEOX_LAYER "mlp.dense_h_to_4h.bias", 0, TR_BY_ROWS},
    {SEQUENTIAL "mlp.linear2.weight", NEOX_LAYER "mlp.dense_4h_to_h.weight", 0, TR_BY_COLUMNS},
    {SEQUENTIAL "mlp.linear2.bias", NEOX_LAYER "mlp.dense_4h_to_h.bias", 0, 0},
    {SEQUENTIAL "attention.rotary_emb.inv_freq", NULL, 0, 0},
    END};

// nanotron, folders joined by dots (examples/llama/convert_nanotron_to_hf.py).
#define BLOCK "decoder.#.pp_block."
static const struct tr_naming_row nanotron[] = {
    {"token_position_embeddings.pp_block.token_embedding.weight", "model.embed_tokens.weight",
     TR_VOCABULARY, 0},
    {"lm_head.pp_block.weight", "lm_head.weight", TR_VOCABULARY, 0},
    {"final_layer_norm.pp_block.weight", "model.norm.weight", 0, 0},
    {BLOCK "input_layernorm.weight", HF_LAYER "input_layernorm.weight", 0, 0},
    {BLOCK "post_attention_layernorm.weight", HF_LAYER "post_attention_layernorm.weight", 0, 0},
    {BLOCK "attn.qkv_proj.weight", HF_LAYER "self_attn.q_proj.weight", TR_STACK_Q, 0},
    {BLOCK "attn.qkv_proj.weight", HF_LAYER "self_attn.k_proj.weight", TR_STACK_K, 0},
    {BLOCK "attn.qkv_proj.weight", HF_LAYER "self_attn.v_proj.weight", TR_STACK_V, 0},
    {BLOCK "attn.o_proj.weight", HF_LAYER "self_attn.o_proj.weight", 0, 0},
    {BLOCK "mlp.gate_up_proj.weight", HF_LAYER "mlp.gate_proj.weight", TR_FIRST_HALF, 0},
    {BLOCK "mlp.gate_up_proj.weight", HF_LAYER "mlp.up_proj.weight", TR_SECOND_HALF, 0},
    {BLOCK "mlp.down_proj.weight", HF_LAYER "mlp.down_proj.weight", 0, 0},
    END};

// What transformers 5 calls otherwise in memory than on disk (its conversion_mapping.py).
static const struct tr_naming_row neox_in_memory[] = {{"lm_head.weight", "embed_out.weight", 0, 0},
                                                      END};
static const struct tr_naming_row experts_in_memory[] = {
    {HF_LAYER "mlp.experts.gate_up_proj", HF_LAYER "mlp.experts.#.gate_proj.weight", TR_FIRST_HALF,
     0},
    {HF_LAYER "mlp.experts.gate_up_proj", HF_LAYER "mlp.experts.#.up_proj.weight", TR_SECOND_HALF,
     0},
    {HF_LAYER "mlp.experts.down_proj", HF_LAYER "mlp.experts.#.down_proj.weight", 0, 0},
    END};

// Names that are Hugging Face's already: what stands before them goes.
static const struct tr_naming_row as_they_are[] = {END};

#define QKV(stack) stack "self_attention.linear_qkv.weight"
const struct tr_naming tr_namings[] = {
    {"Meta's or torchtitan's", "layers.#.attention.wq.weight", " llama mistral ",
     .rows = llama_of_meta},
    {"torchtitan's", "layers.#.attention.qkv_linear.wq.weight", " llama ", .rows = llama_of_meta},
    {"torchtitan's", "layers.#.attention.wq.weight", " qwen2 qwen3 qwen3_moe ",
     .rows = qwen_of_titan},
    {"torchtitan's", "layers.#.attention.qkv_linear.wq.weight", " qwen2 qwen3 qwen3_moe ",
     .rows = qwen_of_titan},
    {"OLMo-core's", "blocks.#.attention.w_q.weight", " olmo2 olmo3 ", .rows = olmo_behind},
    {"OLMo-core's", "blocks.#.attention.w_q.weight", " llama olmo ", .rows = olmo_before},
    {"litgpt's", LIT_LAYER "attn.qkv.weight", " gpt_neox ", .rows = lit_neox},
    {"litgpt's", LIT_LAYER "attn.qkv.weight", " llama mistral qwen2 qwen3 ", .rows = lit_llama},
    {"nanoGPT's", LIT_LAYER "attn.c_attn.weight", " gpt2 ", .partial = true, .linear = true,
     .rows = nano_gpt},
    {"Megatron's", QKV("decoder.layers.#."), " gpt_neox ", .rows = megatron_neox},
    {"Megatron's", QKV("decoder.layers."), " gpt_neox ", .rows = megatron_neox_stacked},
    {"Megatron's", QKV("decoder.layers.#."), " llama mistral qwen2 qwen3 ", .rows = megatron_llama},
    {"Megatron's", QKV("decoder.layers."), " llama mistral qwen2 qwen3 ",
     .rows = megatron_llama_stacked},
    {"Megatron's of old", "language_model.encoder.layers.#.self_attention.query_key_value.weight",
     " llama mistral ", .rows = old_encoder},
    {"Megatron's of old",
     "language_model.transformer.layers.#.self_attention.query_key_value.weight", " llama mistral ",
     .rows = old_transformer},
    {"GPT-NeoX's", SEQUENTIAL "attention.query_key_value.weight", " gpt_neox ", .first_layer = 2,
     .rows = neox_layers},
    {"nanotron's", BLOCK "attn.qkv_proj.weight", " llama mistral qwen2 ", .rows = nanotron},
    {"transformers'", "gpt_neox.layers.#.attention.query_key_value.weight", " gpt_neox ",
     .partial = true, .rows = neox_in_memory},
    {"Hugging Face's", HF_LAYER "mlp.experts.gate_up_proj", " gpt_oss ", .partial = true,
     .rows = as_they_are},
    {"transformers'", HF_LAYER "mlp.experts.gate_up_proj", NULL, .partial = true,
     .rows = experts_in_memory},
    {"Hugging Face's", HF_LAYER "self_attn.q_proj.weight", NULL, .partial = true,
     .rows = as_they_are},
    {"Hugging Face's", "transformer.h.#.attn.c_attn.weight", NULL, .partial = true,
     .rows = as_they_are},
};
const int tr_naming_count = sizeof tr_namings / sizeof *tr_namings;
