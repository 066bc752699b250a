// SPDX-License-Identifier: Apache-2.0
// What is refused of config.json, each with its sentence, and what is read of every family's seed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/config.h"

#define LLAMA_SIZES                                                                                \
    "\"num_hidden_layers\": 2, \"hidden_size\": 16, \"num_attention_heads\": 4, "                  \
    "\"intermediate_size\": 24, \"vocab_size\": 61"
#define LLAMA "\"model_type\": \"llama\", " LLAMA_SIZES
#define CRYSTAL                                                                                    \
    "\"model_type\": \"crystalcoder\", \"n_layer\": 2, \"n_embd\": 16, \"n_head\": 2, "            \
    "\"rotary_dim\": 4, \"vocab_size\": 61"
#define CRYSTAL_WORDS "\"position_embedding_type\": \"rotary\", \"activation_function\": \"swiglu\""

#define DEEPSEEK "\"model_type\": \"deepseek_v2\", \"num_experts_per_tok\": 6, " LLAMA_SIZES
#define QUANTIZED "{" LLAMA ", \"quantization_config\": {\"quant_method\": "
#define GPTQ QUANTIZED "\"gptq\", "
#define AWQ QUANTIZED "\"awq\", "
#define COMPRESSED QUANTIZED "\"compressed-tensors\", "
#define FOUR "\"weights\": {\"num_bits\": 4, \"group_size\": 32}"
#define OLMO3 "\"model_type\": \"olmo3\", " LLAMA_SIZES
#define APERTUS "\"model_type\": \"apertus\", " LLAMA_SIZES
#define QWEN_MOE "\"model_type\": \"qwen3_moe\", \"num_key_value_heads\": 4, " LLAMA_SIZES
#define HF_OLMO                                                                                    \
    "\"model_type\": \"olmo\", \"n_layers\": 2, \"d_model\": 16, \"n_heads\": 4, \"vocab_size\": " \
    "61"
#define HF_OLMO_ROPE HF_OLMO ", \"rope\": true, \"include_bias\": false"
// A file of that type, with the sizes under all the names that they have.
#define BAMBA                                                                                      \
    "\"model_type\": \"bamba\", \"num_key_value_heads\": 4, \"mamba_n_heads\": 4, " LLAMA_SIZES
#define CLASS(type)                                                                                \
    "\"model_type\": \"" type "\", " LLAMA_SIZES                                                   \
    ", \"n_layers\": 2, \"d_model\": 16, \"n_heads\": 4"
#define BLOCKS(attention, ffn)                                                                     \
    ", \"block_configs\": [{\"attention\": {" attention "}, \"ffn\": {" ffn "}}, {}]}"
#define BAILING                                                                                    \
    CLASS("bailing_moe")                                                                           \
    ", \"num_key_value_heads\": 4, \"head_dim\": 4, \"n_group\": 1, \"topk_group\": 1, "           \
    "\"num_experts\": 4, \"num_experts_per_tok\": 2, \"moe_intermediate_size\": 8"
#define GROUPS DEEPSEEK ", \"topk_method\": \"group_limited_greedy\""

// The sentence without "config.json: " before it; part of it where it lists what is known.
static const struct {
    const char *json, *sentence;
} refused[] = {
    // what is not known
    {"{\"model_type\": \"lama\"}", "model_type \"lama\" is not known; the nearest known one is "
                                   "llama, all are: "},
    {"{\"model_type\": \"gptneox\"}", "the nearest known one is gpt_neox"},
    {"{\"model_type\": \"lama\"}", "a new one needs a row in trace/model/families, see "
                                   "docs/adding-a-family.md"},
    {"{\"hidden_size\": 16}", "\"model_type\" is missing"},
    {"{\"model_type\": 3}", "\"model_type\""},
    {"{\"architectures\": []}", "\"model_type\" is missing"},
    {"{\"architectures\": \"LlamaForCausalLM\"}", "\"model_type\" is missing"},
    {"{\"architectures\": [\"T5ForConditionalGeneration\"]}",
     "\"model_type\" is missing, and the class \"T5ForConditionalGeneration\" of "
     "\"architectures\" is not known"},
    {"{" LLAMA ", \"hidden_act\": \"softplus\"}", "activation \"softplus\" is not supported"},
    {"{" LLAMA ", \"hidden_act\": 1}", "\"hidden_act\""},
    {"{" LLAMA ", \"rope_scaling\": {\"type\": \"spiral\", \"factor\": 2.0}}",
     "rope type \"spiral\" is not supported; known: default, linear, dynamic, yarn, longrope, "
     "llama3"},
    {"{" LLAMA ", \"rope_parameters\": {\"rope_type\": \"proportional\"}}",
     "rope type \"proportional\" is not supported"},
    {"{" LLAMA ", \"quantization_config\": {\"bits\": 4}}",
     "weights quantized by a method that is not named (\"quantization_config\") are not supported: "
     "gptq, awq, compressed-tensors' pack-quantized and mxfp4 are read"},
    {"{" LLAMA ", \"quantization_config\": {\"quant_method\": \"bitsandbytes\"}}",
     "weights quantized by bitsandbytes (\"quantization_config\") are not supported: gptq, awq, "
     "compressed-tensors' pack-quantized and mxfp4 are read"},
    // options of a family that are not run
    {"{" CRYSTAL ", " CRYSTAL_WORDS "}",
     "this crystalcoder is not supported: scores divided by the head size's root"},
    {"{" CRYSTAL ", " CRYSTAL_WORDS
     ", \"mup_scale_qk_dot_by_d\": true, \"scale_attn_weights\": false}",
     "this crystalcoder is not supported: scores that are not scaled"},
    {"{" CRYSTAL ", \"mup_scale_qk_dot_by_d\": true}",
     "\"position_embedding_type\" is \"learned\"; for crystalcoder only \"rotary\" is supported"},
    {"{" CRYSTAL ", \"mup_scale_qk_dot_by_d\": true, \"position_embedding_type\": \"rotary\", "
     "\"activation_function\": \"gelu\"}",
     "\"activation_function\" is \"gelu\"; for crystalcoder only \"swiglu\" is supported"},
    {"{\"model_type\": \"deepseek\", " LLAMA_SIZES ", \"scoring_func\": \"sigmoid\"}",
     "\"scoring_func\" is \"sigmoid\"; for deepseek only \"softmax\" is supported"},
    {"{\"model_type\": \"deepseek\", " LLAMA_SIZES ", \"num_experts_per_tok\": 1}",
     "this deepseek is not supported: one routed expert per token"},
    {"{\"model_type\": \"baichuan\", \"num_hidden_layers\": 40, \"hidden_size\": 5120, "
     "\"max_position_embeddings\": 4096}",
     "this baichuan is not supported: the size of 13B, which has ALiBi and no "
     "\"max_position_embeddings\""},
    {"{\"model_type\": \"baichuan\", \"num_hidden_layers\": 32, \"hidden_size\": 4096}",
     "this baichuan is not supported: the size of 7B, which needs \"max_position_embeddings\""},
    {"{" CLASS("gptj") ", \"rotary\": false}",
     "this gptj is not supported: positions that do not turn"},
    {"{" CLASS("gptj") ", \"rotary_dim\": null}", "\"rotary_dim\" is missing"},
    {"{" CLASS("gpt_bigcode") ", \"add_cross_attention\": true}",
     "this gpt_bigcode is not supported: it attends to an encoder"},
    {"{" CLASS("gpt_neo") ", \"attention_types\": [[[\"global\"], 3]]}",
     "\"attention_types\" does not fit the layers"},
    {"{" CLASS("gpt_neo") ", \"attention_types\": [[[\"near\"], 2]]}",
     "\"attention_types\" holds \"near\"; known: global, local"},
    {"{" CLASS("gpt_neo") ", \"attention_layers\": [\"global\"]}",
     "\"attention_layers\" does not fit the layers: it has 1 entries for 2"},
    {"{" CLASS("gpt_neo") ", \"layer_types\": [\"sliding_attention\", \"sliding_attention\"]}",
     "\"layer_types\" says \"sliding_attention\" in layer 0, but gpt_neo has one kind of layer"},
    {"{" CLASS("mpt") ", \"attn_config\": {\"alibi\": false}}",
     "this mpt is not supported: positions without ALiBi"},
    {"{" CLASS("mpt") ", \"attn_config\": {\"alibi_bias_max\": 16}}",
     "implementations differ on slopes with another alibi_bias_max than 8"},
    {"{" CLASS("mpt") ", \"attn_config\": {\"attn_type\": \"multiquery_attention\"}}",
     "\"attn_config.attn_type\" is \"multiquery_attention\"; for mpt only \"multihead_attention\" "
     "is "
     "supported"},
    {"{" CLASS("mpt") ", \"logit_scale\": \"inv_sqrt_d_model\"}",
     "\"logit_scale\" must be a number"},
    {"{" CLASS("mpt") ", \"expansion_ratio\": 2}",
     "this mpt is not supported: an MLP that is not 4 times as wide"},
    {"{" CLASS("minicpm") ", \"num_experts\": 8}", "this minicpm is not supported: experts"},
    {"{" CLASS("minicpm") ", \"sparse_config\": {\"kernel_size\": 32}}",
     "\"sparse_config\" is there, but what it asks for is not supported for minicpm"},
    {"{" CLASS("cohere2") ", \"sliding_window\": null}", "\"sliding_window\" is missing"},
    {"{" CLASS("hunyuan_v1_dense") ", \"use_cla\": true}",
     "this hunyuan_v1_dense is not supported: layers that share keys and values"},
    {"{" CLASS("hunyuan_v1_dense") "}", "\"head_dim\" is missing"},
    {"{" CLASS("exaone4") ", \"num_key_value_heads\": 4, \"sliding_window_pattern\": \"LLLG\"}",
     "\"sliding_window_pattern\" must be a number, it is a string"},
    {"{" CLASS("dots1") ", \"num_key_value_heads\": 4, \"n_routed_experts\": 8, "
                        "\"num_experts_per_tok\": 2}",
     "\"n_shared_experts\" is missing"},
    {"{" CLASS("dots1") ", \"moe_layer_freq\": 2}",
     "this dots1 is not supported: layers without experts among those with them"},
    {"{" CLASS("dots1") ", \"num_key_value_heads\": 4, \"n_routed_experts\": 8, "
                        "\"n_shared_experts\": 1, \"num_experts_per_tok\": 2, \"n_group\": 8, "
                        "\"topk_group\": 4}",
     "8 experts in 8 groups, 4 groups and 2 experts used, make no sense"},
    {"{" CLASS("deepseek_v3") ", \"rope_interleave\": false}",
     "this deepseek_v3 is not supported: neighbours that do not turn"},
    {"{" CLASS("deepseek_v3") ", \"scoring_func\": \"softmax\"}",
     "\"scoring_func\" is \"softmax\"; for deepseek_v3 only \"sigmoid\" is supported"},
    {"{" CLASS("deepseek_v3") ", \"attention_bias\": true}",
     "this deepseek_v3 is not supported: attention_bias in latent attention"},
    {"{" CLASS("glm4_moe") ", \"num_key_value_heads\": 4, \"n_group\": null}",
     "\"n_group\" is missing"},
    {"{" CLASS("ernie4_5_moe") ", \"use_bias\": true}",
     "this ernie4_5_moe is not supported: products with biases beside experts"},
    {"{" CLASS("ernie4_5_moe") ", \"moe_gate\": \"top2_fused\"}",
     "\"moe_gate\" is \"top2_fused\"; for ernie4_5_moe only \"topk\" is supported"},
    {"{" CLASS("hunyuan_v1_moe") ", \"head_dim\": 4, \"num_experts\": 4, \"moe_topk\": [2, 1]}",
     "\"moe_topk\" differs from layer to layer: layers of one model that differ are not supported"},
    {"{" CLASS("hunyuan_v1_moe") ", \"head_dim\": 4, \"num_experts\": [\"4\"]}",
     "\"num_experts\" must be a number or a list of equal ones"},
    {"{" CLASS("hunyuan_v1_moe") ", \"head_dim\": 4, \"num_experts\": []}",
     "\"num_experts\" must be a number or a list of equal ones"},
    {"{" CLASS("bailing_moe") ", \"norm_head\": true}",
     "this bailing_moe is not supported: a head of normed columns"},
    {"{" CLASS("bailing_moe") ", \"n_group\": 2, \"score_function\": \"softmax\"}",
     "\"score_function\" is \"softmax\"; for bailing_moe only \"sigmoid\" is supported"},
    {"{" BAILING "}", "\"partial_rotary_factor\" is missing"},
    {"{" BAILING ", \"rotary_dim\": 4, \"partial_rotary_factor\": 0.5}",
     "\"rotary_dim\" is 4, but \"partial_rotary_factor\" is 0.5 of 4"},
    {"{" CLASS("qwen") ", \"seq_length\": 64, \"no_bias\": false}",
     "this qwen is not supported: products with biases besides queries, keys and values"},
    {"{" CLASS("qwen") "}", "\"seq_length\" is missing"},
    {"{" CLASS("Yi") ", \"num_key_value_heads\": 4, \"rope_scaling\": {\"type\": \"linear\"}}",
     "\"rope_scaling\" is there, but the code of Yi does not read it"},
    {"{" CLASS("skywork") ", \"num_experts\": [16], \"moe_2layer_gate\": true}",
     "\"num_experts\" is there, but what it asks for is not supported for skywork"},
    {"{" CLASS("gpt_oss") ", \"num_key_value_heads\": 4, \"hidden_act\": \"gelu\"}",
     "\"hidden_act\" is \"gelu\"; for gpt_oss only \"silu\" is supported"},
    {"{" CLASS("gpt_oss") ", \"num_key_value_heads\": 4, \"swiglu_limit\": -1}",
     "\"swiglu_limit\" is -1, which makes no sense"},
    {"{\"model_type\": \"gemma3n\", \"text_config\": {\"model_type\": \"gemma3n_text\"}}",
     "model_type \"gemma3n\" is known but not run: its blocks keep several residual streams"},
    {"{" CLASS("llama4_text") ", \"num_key_value_heads\": 4, \"moe_layers\": [0, 9]}",
     "\"moe_layers\" does not fit the layers"},
    {"{" CLASS("llama4_text") ", \"num_key_value_heads\": 4, \"floor_scale\": 0}",
     "\"floor_scale\" is 0, expected an integer from 1"},
    {"{" CLASS("llama4_text") ", \"num_key_value_heads\": 4, \"layer_types\": "
                              "[\"sliding_attention\", \"chunked_attention\"]}",
     "layer type \"sliding_attention\" is not supported"},
    {"{" CLASS("nemotron-nas") BLOCKS("\"n_heads_in_group\": 3", "\"ffn_mult\": 2.0"),
     "\"block_configs\" says no \"n_heads_in_group\" of layer 0 that can be"},
    {"{" CLASS("nemotron-nas") BLOCKS("\"n_heads_in_group\": 2", "\"ffn_mult\": -1"),
     "\"block_configs\" says no \"ffn_mult\" of layer 0 that can be"},
    {"{" CLASS("nemotron-nas") BLOCKS("\"n_heads_in_group\": 2", "\"intermediate_size\": 0"),
     "\"block_configs\" says no \"intermediate_size\" of layer 0 that can be"},
    {"{" CLASS("nemotron-nas") BLOCKS("\"replace_with_linear\": true", "\"ffn_mult\": 2.0"),
     "\"block_configs\" changes \"replace_with_linear\" in a layer"},
    {"{" CLASS("yulanmini") ", \"num_key_value_heads\": 4, \"ln_scale\": 2}",
     "this yulanmini is not supported: a multiplier of all norms"},
    {"{" CLASS("yulanmini") ", \"rms_type\": \"gemma\"}",
     "\"rms_type\" is \"gemma\"; for yulanmini only \"llama\" is supported"},
    {"{" CLASS("internlm") ", \"tie_word_embeddings\": true}",
     "this internlm is not supported: a head that is the embedding"},
    {"{" CLASS("internlm") ", \"rotary\": {\"base\": \"10000\"}}",
     "\"base\" must be a number, it is a string"},
    {"{" CLASS("pico_decoder") "}", "\"attention_n_heads\" is missing"},
    {"{" CLASS("modernbert-decoder") ", \"norm_bias\": true}",
     "this modernbert-decoder is not supported: norms with biases"},
    {"{" CLASS("modernbert-decoder") ", \"sliding_window\": 128}",
     "\"sliding_window\" is 128, but half of \"local_attention\" is 64"},
    {"{" CLASS("modernbert-decoder") ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}}",
     "\"rope_scaling\" is there, but the code of modernbert-decoder does not read it"},
    {"{" DEEPSEEK ", \"norm_topk_prob\": true}",
     "this deepseek_v2 is not supported: implementations differ on norm_topk_prob"},
    {"{" DEEPSEEK ", \"attention_bias\": true}",
     "this deepseek_v2 is not supported: attention_bias in latent attention"},
    {"{" DEEPSEEK ", \"mlp_bias\": true}",
     "this deepseek_v2 is not supported: mlp_bias beside experts"},
    {"{" DEEPSEEK ", \"scoring_func\": \"sigmoid\"}",
     "\"scoring_func\" is \"sigmoid\"; for deepseek_v2 only \"softmax\" is supported"},
    {"{" DEEPSEEK ", \"topk_method\": \"noaux_tc\"}", "topk_method \"noaux_tc\" is not supported"},
    {"{\"model_type\": \"gemma3\", \"text_config\": {\"model_type\": \"gemma3_text\"}}",
     "model_type \"gemma3\" holds a \"text_config\" among others; models of more than text are "
     "not supported"},
    {"{" LLAMA ", \"hidden_act\": \"xielu\"}", "activation \"xielu\" is not supported"},
    {"{" LLAMA ", \"rope_scaling\": {\"rope_type\": \"linear\"}}",
     "the rope scaling makes no sense (factor 0)"},
    {"{" LLAMA ", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, "
     "\"high_freq_factor\": 4.0}}",
     "the rope scaling llama3 lacks \"low_freq_factor\""},
    {"{\"model_type\": \"gemma2\", " LLAMA_SIZES ", \"use_bidirectional_attention\": true}",
     "this gemma2 is not supported: attention is causal here, not bidirectional"},
    {"{\"model_type\": \"smollm3\", " LLAMA_SIZES ", \"no_rope_layers\": [1]}",
     "\"no_rope_layers\" does not fit the layers"},
    {"{\"model_type\": \"smollm3\", " LLAMA_SIZES ", \"no_rope_layers\": [true, false]}",
     "\"no_rope_layers\" does not fit the layers"},
    {"{\"model_type\": \"olmo3\", " LLAMA_SIZES ", \"layer_types\": [\"full_attention\"]}",
     "\"layer_types\" does not fit the layers: it has 1 entries for 2"},
    {"{\"model_type\": \"olmo3\", " LLAMA_SIZES ", \"layer_types\": [\"full_attention\", "
     "\"full_attention\", \"full_attention\"]}",
     "\"layer_types\" does not fit the layers: it has 3 entries for 2"},
    {"{\"model_type\": \"olmo3\", " LLAMA_SIZES ", \"layer_types\": [\"full_attention\", 1]}",
     "layer type \"?\" is not supported"},
    {"{\"model_type\": \"qwen3_moe\", " LLAMA_SIZES ", \"mlp_only_layers\": [2]}",
     "\"mlp_only_layers\" does not fit the layers"},
    {"{\"model_type\": \"qwen3_moe\", " LLAMA_SIZES ", \"mlp_only_layers\": [\"1\"]}",
     "\"mlp_only_layers\" does not fit the layers"},
    {"{\"model_type\": \"gpt2\", \"scale_attn_weights\": false}",
     "this gpt2 is not supported: its scores are not scaled"},
    {"{\"model_type\": \"gpt2\", \"add_cross_attention\": true}",
     "this gpt2 is not supported: it attends to an encoder"},
    {"{\"model_type\": \"opt\", \"do_layer_norm_before\": false}",
     "this opt is not supported: its norms come after the residual add and change the stream "
     "itself"},
    {"{\"model_type\": \"opt\", \"_remove_final_layer_norm\": true}",
     "this opt is not supported: it has no norm before the head"},
    {"{\"model_type\": \"opt\", \"layer_norm_elementwise_affine\": false}",
     "this opt is not supported: its norms have no weights"},
    {"{\"model_type\": \"opt\", \"ffn_dim\": 64, \"word_embed_proj_dim\": 8, " LLAMA_SIZES "}",
     "\"word_embed_proj_dim\" is 8, not the hidden size 16: embeddings that are projected are not "
     "supported"},
    {"{\"model_type\": \"bloom\", \"apply_residual_connection_post_layernorm\": true}",
     "this bloom is not supported: its residual add starts from the normed stream"},
    {"{\"model_type\": \"falcon\", \"alibi\": true}",
     "this falcon is not supported: ALiBi with multi_query"},
    {"{\"model_type\": \"falcon\", \"multi_query\": false}",
     "this falcon is not supported: rotary positions without multi_query"},
    {"{\"model_type\": \"falcon\", \"alibi\": true, \"new_decoder_architecture\": true}",
     "this falcon is not supported: ALiBi with new_decoder_architecture"},
    {"{\"model_type\": \"falcon\", \"num_ln_in_parallel_attn\": 1}",
     "this falcon is not supported: num_ln_in_parallel_attn without new_decoder_architecture"},
    {"{" HF_OLMO ", \"include_bias\": false}",
     "this hf_olmo is not supported: positions that do not turn"},
    {"{" HF_OLMO ", \"rope\": true}", "this hf_olmo is not supported: products with biases"},
    {"{" HF_OLMO_ROPE ", \"attention_layer_norm\": true}",
     "this hf_olmo is not supported: norms of queries and keys"},
    {"{" HF_OLMO_ROPE ", \"norm_after\": true}",
     "this hf_olmo is not supported: norms behind the sublayers"},
    {"{" HF_OLMO_ROPE "}",
     "\"layer_norm_type\" is \"default\"; for hf_olmo only \"rms\" is supported"},
    {"{" HF_OLMO_ROPE ", \"layer_norm_with_affine\": false, \"layer_norm_type\": \"rms\"}",
     "\"layer_norm_type\" is \"rms\"; for hf_olmo only \"default\" is supported"},
    {"{" HF_OLMO_ROPE ", \"layer_norm_with_affine\": false, \"block_type\": \"llama\"}",
     "\"block_type\" is \"llama\"; for hf_olmo only \"sequential\" is supported"},
    {"{" HF_OLMO_ROPE ", \"layer_norm_with_affine\": false, \"mlp_hidden_size\": 25}",
     "\"mlp_hidden_size\" is 25, which gate and up cannot share evenly"},
    // what transformers reads otherwise than it says, or versions 4 and 5 differently
    {"{" LLAMA ", \"is_causal\": false}",
     "\"is_causal\" is not true: attention is causal here, not bidirectional"},
    {"{" LLAMA ", \"is_causal\": null}", "\"is_causal\" is not true"},
    {"{" LLAMA ", \"rope_parameters\": {\"full_attention\": {\"rope_theta\": 500}}}",
     "the rope object holds one for each kind of layer, but all layers of llama turn alike"},
    {"{" LLAMA ", \"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 4, "
     "\"partial_rotary_factor\": 0.5}}",
     "\"partial_rotary_factor\" is 0.5 beside a scaled rotation, but this family turns whole "
     "heads"},
    {"{" LLAMA ", \"partial_rotary_factor\": 0.5, \"rope_scaling\": {\"type\": \"linear\", "
     "\"factor\": 4}}",
     "\"partial_rotary_factor\" is 0.5 beside a scaled rotation"},
    {"{" OLMO3 ", \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 500}}",
     "\"rope_parameters\" must hold an object for \"full_attention\" and one for "
     "\"sliding_attention\""},
    {"{" OLMO3 ", \"rope_theta\": 300}",
     "transformers 4 takes \"rope_theta\" for windowed layers, 5 the base of the class; give "
     "\"rope_parameters\" with \"sliding_attention\""},
    {"{" APERTUS ", \"rope_scaling\": null}", "\"rope_scaling\" is null or empty: transformers 4 "
                                              "does not scale then, 5 takes the scaling of "
                                              "the class; give a rope object"},
    {"{" APERTUS ", \"rope_theta\": 10000}",
     "transformers 4 takes \"rope_theta\", 5 the base of the class's own rope object; give a rope "
     "object"},
    {"{" BAMBA ", \"mamba_d_head\": 5}",
     "4 heads of size 5 are not \"mamba_expand\" times the hidden size"},
    {"{" BAMBA ", \"mamba_n_groups\": 3}", "4 heads cannot share 3 groups evenly"},
    {"{" BAMBA ", \"mamba_d_state\": null}", "\"mamba_d_state\" is missing"},
    {"{" BAMBA ", \"attn_layer_indices\": [2]}", "\"attn_layer_indices\" does not fit the layers"},
    {"{" BAMBA ", \"layer_types\": [\"full_attention\", \"linear_attention\"]}",
     "\"layer_types\" does not fit the layers"},
    {"{" BAMBA ", \"time_step_limit\": [0.5, 0.1]}",
     "\"time_step_limit\" must be two numbers, the lower first"},
    {"{" BAMBA ", \"time_step_limit\": [NaN, 1]}",
     "\"time_step_limit\" must be two numbers, the lower first"},
    {"{" BAMBA ", \"partial_rotary_factor\": 1}",
     "this bamba is not supported: another part of a head that turns"},
    {"{\"model_type\": \"internlm2\", " LLAMA_SIZES ", \"rope_parameters\": {\"rope_theta\": 500}}",
     "\"rope_parameters\" is there, but the code of internlm2 does not read it"},
    {"{\"model_type\": \"baichuan\", " LLAMA_SIZES
     ", \"max_position_embeddings\": 64, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}",
     "\"rope_scaling\" is there, but the code of baichuan does not read it"},
    {"{\"model_type\": \"phi3\", " LLAMA_SIZES
     ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": "
     "2}}",
     "the code of phi3 does not know the rope type \"linear\""},
    {"{" OLMO3 ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}",
     "\"rope_scaling\" spells its type \"type\", which transformers 4 reads and 5 does not in this "
     "family; spell it \"rope_type\""},
    // lists with an entry for each layer
    {"{" OLMO3 ", \"layer_types\": [\"full_attention\"]}",
     "\"layer_types\" does not fit the layers: it has 1 entries for 2"},
    {"{" LLAMA ", \"layer_types\": [\"full_attention\", \"full_attention\", "
     "\"full_attention\"]}",
     "\"layer_types\" does not fit the layers: it has 3 entries for 2"},
    {"{" LLAMA ", \"mlp_layer_types\": [\"dense\"]}",
     "\"mlp_layer_types\" does not fit the layers: it has 1 entries for 2"},
    {"{" LLAMA ", \"mlp_layer_types\": [\"dense\", \"sparse\"]}",
     "\"mlp_layer_types\" does not fit the layers"},
    {"{\"model_type\": \"smollm3\", \"num_key_value_heads\": 4, " LLAMA_SIZES
     ", \"no_rope_layers\": [1, 1, 0]}",
     "\"no_rope_layers\" does not fit the layers: it has 3 entries for 2"},
    {"{" OLMO3 ", \"layer_types\": [\"full_attention\", \"linear_attention\"]}",
     "layer type \"linear_attention\" is not supported"},
    {"{" OLMO3 ", \"layer_types\": [\"full_attention\", 1]}", "layer type \"?\" is not supported"},
    {"{\"model_type\": \"mistral\", \"num_key_value_heads\": 4, " LLAMA_SIZES
     ", \"sliding_window\": 4, \"layer_types\": [\"sliding_attention\", \"full_attention\"]}",
     "\"layer_types\" says \"full_attention\" in layer 1, but mistral has one kind of layer and "
     "ignores it"},
    {"{" QWEN_MOE ", \"mlp_only_layers\": [\"1\"]}", "\"mlp_only_layers\" does not fit the layers"},
    {"{" QWEN_MOE ", \"mlp_only_layers\": [2]}", "\"mlp_only_layers\" does not fit the layers"},
    // values of another type
    {"{" LLAMA ", \"rms_norm_eps\": NaN}",
     "\"rms_norm_eps\" must be a number, it is NaN or infinite"},
    {"{" LLAMA ", \"rms_norm_eps\": -Infinity}",
     "\"rms_norm_eps\" must be a number, it is NaN or infinite"},
    {"{" LLAMA ", \"rms_norm_eps\": null}", "\"rms_norm_eps\" is missing"},
    {"{" LLAMA ", \"rope_theta\": null}", "\"rope_theta\" is missing"},
    {"{\"model_type\": \"llama\", \"num_hidden_layers\": true}",
     "\"num_hidden_layers\" must be a number, it is true"},
    {"{" LLAMA ", \"head_dim\": true}", "\"head_dim\" must be a number, it is true"},
    {"{" LLAMA ", \"num_key_value_heads\": Infinity}",
     "\"num_key_value_heads\" must be a number, it is NaN or infinite"},
    {"{" LLAMA ", \"attention_bias\": NaN}",
     "\"attention_bias\" must be true or false, it is NaN or infinite"},
    {"{" LLAMA ", \"tie_word_embeddings\": \"true\"}",
     "\"tie_word_embeddings\" must be true or false, it is a string"},
    {"{" LLAMA ", \"rope_scaling\": \"x\"}", "\"rope_scaling\" must be an object, it is a string"},
    {"{" LLAMA ", \"rope_parameters\": [1]}",
     "\"rope_parameters\" must be an object, it is an array"},
    {"{" LLAMA ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": NaN}}",
     "\"factor\" must be a number, it is NaN or infinite"},
    {"{" LLAMA ", \"quantization_config\": \"gptq\"}",
     "\"quantization_config\" must be an object, it is a string"},
    {GPTQ "\"bits\": 3}}",
     "weights of 3 bits (\"bits\" of \"quantization_config\") are not read: gptq has 4 or 8"},
    {GPTQ "\"bits\": 4, \"group_size\": 0}}", "\"group_size\" of \"quantization_config\" is 0"},
    {GPTQ "\"bits\": 4, \"checkpoint_format\": \"marlin\"}}",
     "\"quantization_config\" has the format \"marlin\", which is not read"},
    {GPTQ "\"bits\": 4, \"checkpoint_format\": \"gptq\", \"format\": \"gptq_v2\"}}",
     "says \"checkpoint_format\" gptq and \"format\" gptq_v2"},
    {GPTQ "\"bits\": 4, \"pack_dtype\": \"int8\"}}", "\"pack_dtype\" \"int8\""},
    {GPTQ "\"bits\": 4, \"dynamic\": {\"-:a\": {}, \"+:b\": {\"bits\": 8}}}}",
     "has \"dynamic\" bits for \"+:b\", which is not read"},
    {AWQ "\"bits\": 4, \"version\": \"gemv\"}}", "has the version \"gemv\", which is not read"},
    {AWQ "\"bits\": 4, \"zero_point\": false}}", "says \"zero_point\" false"},
    {AWQ "\"bits\": 8}}", "weights of 8 bits"},
    {COMPRESSED "\"format\": \"nvfp4-pack-quantized\"}}",
     "has the format \"nvfp4-pack-quantized\", which is not read"},
    {COMPRESSED "\"kv_cache_scheme\": {\"num_bits\": 8}}}", "asks for \"kv_cache_scheme\""},
    {COMPRESSED "\"transform_config\": {\"R1\": {}}}}", "asks for \"transform_config\""},
    {COMPRESSED "\"sparsity_config\": {\"format\": \"sparse-24-bitmask\"}}}",
     "has the sparse format \"sparse-24-bitmask\""},
    {COMPRESSED "\"config_groups\": {}}}", "has no \"config_groups\""},
    {COMPRESSED "\"config_groups\": {\"a\": {}}}}", "says nothing of weights"},
    {COMPRESSED "\"config_groups\": {\"a\": {" FOUR ", \"input_activations\": {\"bits\": 8}}}}}",
     "asks for \"input_activations\""},
    {COMPRESSED "\"config_groups\": {\"a\": {\"weights\": {\"num_bits\": 4, \"type\": "
                "\"float\"}}}}}",
     "has weights of type \"float\""},
    {COMPRESSED "\"config_groups\": {\"a\": {\"weights\": {\"num_bits\": 4, \"strategy\": "
                "\"block\"}}}}}",
     "has the strategy \"block\""},
    {COMPRESSED "\"config_groups\": {\"a\": {" FOUR "}, \"b\": {\"weights\": {\"num_bits\": "
                "8}}}}}",
     "\"config_groups\" of \"quantization_config\" differ in bits"},
    {"{" LLAMA ", \"layer_types\": \"full_attention\"}",
     "\"layer_types\" must be a list, it is a string"},
    {"{" LLAMA ", \"eos_token_id\": \"2\"}",
     "\"eos_token_id\" must be an integer or a list of them"},
    {"{" LLAMA ", \"hidden_act\": NaN}", "\"hidden_act\" must be a string, it is NaN or infinite"},
    {"{\"model_type\": \"falcon\", \"alibi\": \"false\"}",
     "\"alibi\" must be a number, it is a string"},
    {"{\"model_type\": \"falcon\", \"multi_query\": NaN}",
     "\"multi_query\" must be a number, it is NaN or infinite"},
    // values that make no sense
    {"[]", "does not hold a JSON object"},
    {"{" LLAMA ", \"hidden_size\": 0}", ""}, // a key twice
    {"{\"model_type\": \"llama\", \"num_hidden_layers\": 2}", "\"hidden_size\" is missing"},
    {"{\"model_type\": \"llama\", \"num_hidden_layers\": -2}",
     "\"num_hidden_layers\" is -2, expected an integer from 1 to 1024"},
    {"{\"model_type\": \"llama\", \"num_hidden_layers\": 1e9}",
     "\"num_hidden_layers\" is 1e+09, expected an integer from 1 to 1024"},
    {"{\"model_type\": \"llama\", \"num_hidden_layers\": 2.5}",
     "\"num_hidden_layers\" is 2.5, expected an integer from 1 to 1024"},
    {"{\"model_type\": \"llama\", \"num_hidden_layers\": \"2\"}", "\"num_hidden_layers\""},
    {"{\"model_type\": \"llama\", \"num_hidden_layers\": [2]}", "\"num_hidden_layers\""},
    {"{\"model_type\": \"llama\", \"num_hidden_layers\": 9223372036854775807}",
     "\"num_hidden_layers\" is 9.22337e+18"},
    {"{" LLAMA ", \"num_key_value_heads\": 3}",
     "4 attention heads cannot share 3 key-value heads evenly"},
    {"{" LLAMA ", \"num_key_value_heads\": 0}",
     "\"num_key_value_heads\" is 0, expected an integer from 1 to 65536"},
    {"{" LLAMA ", \"head_dim\": -8}", "\"head_dim\" is -8, expected an integer from 1 to 65536"},
    {"{" LLAMA ", \"rms_norm_eps\": -1}", "norm epsilon -1"},
    {"{" LLAMA ", \"rms_norm_eps\": 1e300}", "\"rms_norm_eps\" is 1e+300, which makes no sense"},
    {"{" LLAMA ", \"rope_theta\": 0}", "rotary base 0"},
    {"{\"model_type\": \"gemma2\", " LLAMA_SIZES ", \"attn_logit_softcapping\": -50}",
     "\"attn_logit_softcapping\" is -50, which makes no sense"},
    {"{\"model_type\": \"gemma2\", " LLAMA_SIZES ", \"final_logit_softcapping\": -0.5}",
     "\"final_logit_softcapping\" is -0.5, which makes no sense"},
    {"{\"model_type\": \"olmo\", " LLAMA_SIZES ", \"clip_qkv\": -8}",
     "\"clip_qkv\" is -8, which makes no sense"},
    {"{" LLAMA ", \"rope_theta\": \"big\"}", "\"rope_theta\""},
    {"{" LLAMA ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": -2}}",
     "the rope scaling makes no sense (factor -2)"},
    {"{" LLAMA ", \"rope_scaling\": {\"type\": \"longrope\", \"short_factor\": [1], "
     "\"long_factor\": [1, 1]}}",
     "rope \"short_factor\" must be a list of 2 numbers"},
    {"{" LLAMA ", \"rope_scaling\": {\"type\": \"longrope\", \"short_factor\": [1, 0], "
     "\"long_factor\": [1, 1]}}",
     "rope \"short_factor\" must hold positive numbers"},
    {"{" CRYSTAL ", \"rotary_dim\": 5}", ""}, // a key twice
    {"{\"model_type\": \"crystalcoder\", \"n_layer\": 2, \"n_embd\": 16, \"n_head\": 2, "
     "\"vocab_size\": 61, \"mup_scale_qk_dot_by_d\": true, \"rotary_dim\": 12, " CRYSTAL_WORDS "}",
     "\"rotary_dim\" is 12, expected an integer from 0 to 8"},
    {"{\"model_type\": \"deepseek\", " LLAMA_SIZES
     ", \"n_routed_experts\": 4, \"num_experts_per_tok\": 5}",
     "\"num_experts_per_tok\" is 5, expected an integer from 1 to 4"},
    {"{\"model_type\": \"deepseek\", " LLAMA_SIZES ", \"n_routed_experts\": 4}",
     "\"num_experts_per_tok\" is missing"},
    {"{" GROUPS ", \"n_group\": 5, \"topk_group\": 1}",
     "64 experts in 5 groups, 1 groups and 6 experts used, make no sense"},
    {"{" GROUPS ", \"n_group\": 16, \"topk_group\": 1}",
     "64 experts in 16 groups, 1 groups and 6 experts used, make no sense"},
    {"{" GROUPS ", \"n_routed_experts\": 2048, \"n_group\": 2048, \"topk_group\": 6}",
     "\"n_group\" is 2048, expected an integer from 1 to 1024"},
    {"{" GROUPS ", \"n_routed_experts\": 4097}",
     "\"n_routed_experts\" is 4097, expected an integer from 0 to 4096"},
};

static void refuses(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct tr_config config;
        struct tr_err err = {.code = TR_OK};
        const char *json = refused[i].json;
        enum tr_status status = tr_config_parse(&config, json, strlen(json), "config.json", &err);
        if (status == TR_OK || strncmp(err.text, "config.json", 11) != 0 ||
            !strstr(err.text, refused[i].sentence))
            fail_msg("%s\n  gives: %s\n  not: %s", json, status == TR_OK ? "success" : err.text,
                     refused[i].sentence);
    }
}

// A wrong value leaves the output as it was.
static void sets_nothing(void **state) {
    (void)state;
    struct tr_config config;
    struct tr_err err;
    memset(&config, 0x5a, sizeof config);
    struct tr_config before;
    memcpy(&before, &config, sizeof config);
    const char json[] = "{" LLAMA ", \"hidden_act\": \"softplus\"}";
    assert_int_equal(tr_config_parse(&config, json, strlen(json), "config.json", &err),
                     TR_EUNSUPPORTED);
    assert_memory_equal(&config, &before, sizeof config);
}

static void parse_seed(const char *path) {
    static char json[1 << 16];
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s is missing", path);
    size_t bytes = fread(json, 1, sizeof json, file);
    fclose(file);
    struct tr_config config;
    struct tr_err err = {.code = TR_OK};
    if (tr_config_parse(&config, json, bytes, path, &err) != TR_OK)
        fail_msg("%s", err.text);
    assert_true(config.layers >= 1 && config.hidden >= 1 && config.heads % config.kv_heads == 0);
}

// Every family has a seed of its own, and each is read.
static void parses_every_family(void **state) {
    (void)state;
    for (int i = 0; tr_family_at(i); i++) {
        char path[256];
        snprintf(path, sizeof path, "tests/fuzz/corpus/config/%s.json",
                 tr_family_at(i)->model_type);
        parse_seed(path);
    }
}

static void tells_baichuans_apart(void **state) {
    (void)state;
    struct tr_config config;
    struct tr_err err;
    const char *small =
        "{\"model_type\": \"baichuan\", " LLAMA_SIZES ", \"max_position_embeddings\": 64}";
    const char *large = "{\"model_type\": \"baichuan\", " LLAMA_SIZES "}";
    assert_int_equal(tr_config_parse(&config, small, strlen(small), "c", &err), TR_OK);
    assert_int_equal(config.family->position, TR_ROTARY);
    assert_false(config.unit_head);
    assert_int_equal(tr_config_parse(&config, large, strlen(large), "c", &err), TR_OK);
    assert_int_equal(config.family->position, TR_ALIBI);
    const char *second =
        "{\"model_type\": \"baichuan\", \"num_hidden_layers\": 2, \"hidden_size\": 16, "
        "\"num_attention_heads\": 4, \"intermediate_size\": 24, \"vocab_size\": 125696}";
    assert_int_equal(tr_config_parse(&config, second, strlen(second), "c", &err), TR_OK);
    assert_true(config.unit_head);
}

// Falcon's four kinds are one model_type.
static void tells_falcons_apart(void **state) {
    (void)state;
    static const struct {
        const char *json;
        enum tr_qkv_layout qkv;
        enum tr_position position;
        bool parallel, shared;
        int64_t kv_heads;
    } kinds[] = {
        {"", TR_QKV_CONCATENATED, TR_ROTARY, true, true, 1},
        {", \"parallel_attn\": false", TR_QKV_CONCATENATED, TR_ROTARY, false, true, 1},
        {", \"multi_query\": false, \"alibi\": true", TR_QKV_PER_HEAD, TR_ALIBI_SCALED_BF16, true,
         true, 4},
        {", \"new_decoder_architecture\": true, \"num_kv_heads\": 2", TR_QKV_PER_KV_HEAD, TR_ROTARY,
         true, false, 2},
        {", \"new_decoder_architecture\": true, \"num_kv_heads\": 2, "
         "\"num_ln_in_parallel_attn\": 1",
         TR_QKV_PER_KV_HEAD, TR_ROTARY, true, true, 2},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct tr_config config;
        struct tr_err err;
        char json[512];
        snprintf(json, sizeof json, "{\"model_type\": \"falcon\", " LLAMA_SIZES "%s}",
                 kinds[i].json);
        assert_int_equal(tr_config_parse(&config, json, strlen(json), "c", &err), TR_OK);
        assert_int_equal(config.family->qkv, kinds[i].qkv);
        assert_int_equal(config.family->position, kinds[i].position);
        assert_int_equal(config.parallel, kinds[i].parallel);
        assert_int_equal(config.family->parallel_shares_norm, kinds[i].shared);
        assert_int_equal(config.kv_heads, kinds[i].kv_heads);
    }
}

// Absent, null and unused are three things.
static void reads_windows(void **state) {
    (void)state;
    static const struct {
        const char *json;
        int64_t window;
        bool windowed[2];
    } cases[] = {
        {"{\"model_type\": \"mistral\", \"num_key_value_heads\": 4, " LLAMA_SIZES "}",
         4096,
         {1, 1}},
        {"{\"model_type\": \"mistral\", \"num_key_value_heads\": null, \"sliding_window\": "
         "null, " LLAMA_SIZES "}",
         0,
         {0, 0}},
        {"{\"model_type\": \"qwen3_moe\", \"use_sliding_window\": false, \"layer_types\": "
         "[\"sliding_attention\", \"sliding_attention\"], " LLAMA_SIZES "}",
         0,
         {0, 0}},
        {"{\"model_type\": \"qwen3_moe\", \"use_sliding_window\": true, " LLAMA_SIZES "}",
         4096,
         {1, 1}},
        {"{\"model_type\": \"qwen2_moe\", \"num_key_value_heads\": 4, \"use_sliding_window\": "
         "true, \"max_window_layers\": 0, " LLAMA_SIZES "}",
         4096,
         {0, 0}},
        {"{\"model_type\": \"qwen2_moe\", \"num_key_value_heads\": 4, \"use_sliding_window\": "
         "true, " LLAMA_SIZES "}",
         4096,
         {1, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tr_config config;
        struct tr_err err = {.code = TR_OK};
        if (tr_config_parse(&config, cases[i].json, strlen(cases[i].json), "c", &err) != TR_OK)
            fail_msg("%s: %s", cases[i].json, err.text);
        assert_int_equal(config.window, cases[i].window);
        for (int layer = 0; layer < 2; layer++)
            assert_int_equal(tr_config_has(&config, layer, TR_LAYER_WINDOWED),
                             cases[i].windowed[layer]);
    }
}

#define PLAIN "\"rope_type\": \"default\", \"rope_theta\": 500"
#define LINEAR "\"rope_type\": \"linear\", \"factor\": 4"
#define YARN "\"rope_type\": \"yarn\", \"factor\": 2, \"original_max_position_embeddings\": 16"
#define BOTH ", \"rope_scaling\": {" LINEAR "}, \"rope_parameters\": {" PLAIN "}"
#define NEOX                                                                                       \
    "\"model_type\": \"gpt_neox\", \"num_hidden_layers\": 1, \"hidden_size\": 32, "                \
    "\"num_attention_heads\": 2, \"intermediate_size\": 8, \"vocab_size\": 9"

// Which rope object counts, and where its base and fraction come from: what transformers 5.24 makes
// of each, heads of 4 entries (gpt_neox: 16).
static const struct {
    const char *json;
    enum tr_rope_type type;
    double theta;
    int64_t pairs;
    double local_theta;
    bool remark;
} ropes[] = {
    {"{" LLAMA "}", TR_ROPE_DEFAULT, 10000, 2, 10000, false},
    {"{" LLAMA BOTH "}", TR_ROPE_LINEAR, 10000, 2, 10000, true},
    {"{" LLAMA BOTH ", \"rope_theta\": 300}", TR_ROPE_LINEAR, 300, 2, 300, true},
    {"{" LLAMA ", \"rope_scaling\": {}, \"rope_parameters\": {" PLAIN "}}", TR_ROPE_DEFAULT, 500, 2,
     500, false},
    {"{" LLAMA ", \"rope_scaling\": null, \"rope_parameters\": {" PLAIN "}}", TR_ROPE_DEFAULT, 500,
     2, 500, false},
    {"{" LLAMA ", \"rope_scaling\": {" LINEAR "}, \"rope_parameters\": {}}", TR_ROPE_LINEAR, 10000,
     2, 10000, false},
    {"{" LLAMA ", \"rope_scaling\": {" LINEAR "}, \"rope_parameters\": {" LINEAR "}}",
     TR_ROPE_LINEAR, 10000, 2, 10000, false},
    {"{" LLAMA ", \"rope_scaling\": {" LINEAR ", \"rope_theta\": 99}}", TR_ROPE_LINEAR, 99, 2, 99,
     false},
    {"{" LLAMA ", \"rope_parameters\": {" PLAIN ", \"partial_rotary_factor\": 0.5}}",
     TR_ROPE_DEFAULT, 500, 2, 500, false},
    {"{" LLAMA ", \"partial_rotary_factor\": 0.5}", TR_ROPE_DEFAULT, 10000, 2, 10000, false},
    {"{" NEOX "}", TR_ROPE_DEFAULT, 10000, 2, 10000, false},
    {"{" NEOX ", \"rope_scaling\": {" LINEAR "}, \"rope_parameters\": {" PLAIN
     ", \"partial_rotary_factor\": 1.0}}",
     TR_ROPE_LINEAR, 10000, 2, 10000, true},
    {"{" NEOX ", \"rotary_pct\": 0.5, \"rotary_emb_base\": 77, \"rope_theta\": 9, "
     "\"partial_rotary_factor\": 1}",
     TR_ROPE_DEFAULT, 77, 4, 77, false},
    {"{" OLMO3 "}", TR_ROPE_DEFAULT, 500000, 2, 500000, false},
    {"{" OLMO3 ", \"rope_scaling\": {" LINEAR ", \"rope_theta\": 99}}", TR_ROPE_LINEAR, 99, 2,
     500000, false},
    {"{" OLMO3 ", \"rope_parameters\": {\"full_attention\": null, \"sliding_attention\": {" PLAIN
     "}}, \"rope_theta\": 77}",
     TR_ROPE_DEFAULT, 77, 2, 500, false},
    {"{" OLMO3 ", \"rope_scaling\": {" LINEAR "}, \"rope_parameters\": {\"full_attention\": {" PLAIN
     "}, \"sliding_attention\": {" PLAIN "}}}",
     TR_ROPE_LINEAR, 500, 2, 500, true},
    {"{\"model_type\": \"gemma3_text\", \"head_dim\": 4, \"num_key_value_heads\": 4, " LLAMA_SIZES
     ", \"rope_theta\": 300, \"rope_local_base_freq\": 50}",
     TR_ROPE_DEFAULT, 300, 2, 50, false},
    {"{" APERTUS "}", TR_ROPE_LLAMA3, 12000000, 2, 12000000, false},
    {"{" APERTUS ", \"rope_parameters\": {}}", TR_ROPE_DEFAULT, 12000000, 2, 12000000, false},
};

static void chooses_ropes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof ropes / sizeof ropes[0]; i++) {
        struct tr_config config;
        struct tr_err err = {.code = TR_OK};
        if (tr_config_parse(&config, ropes[i].json, strlen(ropes[i].json), "c", &err) != TR_OK)
            fail_msg("%s: %s", ropes[i].json, err.text);
        const struct tr_rope *full = &config.rope[0], *windowed = &config.rope[1];
        if (full->type != ropes[i].type || full->theta != ropes[i].theta ||
            full->pairs != ropes[i].pairs || windowed->theta != ropes[i].local_theta)
            fail_msg("%s: type %d, base %g, %d pairs, base %g of windowed layers", ropes[i].json,
                     (int)full->type, full->theta, (int)full->pairs, windowed->theta);
        assert_int_equal((config.remarks & TR_REMARK_TWO_ROPES) != 0, ropes[i].remark);
    }
}

// Positions before scaling: a key beside the object wins, but not over objects of two rotations.
static void reads_original_positions(void **state) {
    (void)state;
    static const struct {
        const char *json;
        int64_t positions;
    } cases[] = {
        {"{" LLAMA ", \"rope_scaling\": {" YARN "}}", 16},
        {"{" LLAMA ", \"rope_scaling\": {" YARN "}, \"original_max_position_embeddings\": 8}", 8},
        {"{" OLMO3 ", \"rope_scaling\": {" YARN "}, \"original_max_position_embeddings\": 8}", 16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tr_config config;
        struct tr_err err;
        assert_int_equal(tr_config_parse(&config, cases[i].json, strlen(cases[i].json), "c", &err),
                         TR_OK);
        assert_int_equal(config.rope[0].original_positions, cases[i].positions);
    }
}

static void marks_the_sublayers_that_are_left_out(void **state) {
    (void)state;
    static const char json[] =
        "{" LLAMA ", \"drop_attn_list\": [true, false], \"drop_mlp_list\": [1]}";
    struct tr_config config;
    struct tr_err error;
    assert_int_equal(tr_config_parse(&config, json, strlen(json), "config.json", &error), TR_OK);
    assert_false(tr_config_keeps(&config, NULL, TR_ATTN, 0));
    assert_true(tr_config_keeps(&config, NULL, TR_MLP, 0));
    assert_true(tr_config_keeps(&config, NULL, TR_ATTN, 1));
    assert_false(tr_config_keeps(&config, NULL, TR_MLP, 1));
    assert_int_equal(config.remarks, TR_REMARK_DROPPED);
}

// The class of config.json's "architectures", where model_type is missing.
static void classes_name_families(void **state) {
    (void)state;
    static const struct {
        const char *name, *type;
    } cases[] = {
        {"LlamaForCausalLM", "llama"},
        {"LLaMAForCausalLM", "llama"},
        {"LlamaModel", "llama"},
        {"GPTNeoXForCausalLM", "gpt_neox"},
        {"GPT2LMHeadModel", "gpt2"},
        {"Qwen2ForCausalLM", "qwen2"},
        {"Qwen2MoeForCausalLM", "qwen2_moe"},
        {"Qwen3ForSequenceClassification", "qwen3"},
        {"Gemma3ForCausalLM", "gemma3_text"},
        {"Gemma2ForTokenClassification", "gemma2"},
        {"MixtralForCausalLM", "mixtral"},
        {"StableLmForCausalLM", "stablelm"},
        {"InternLM2ForCausalLM", "internlm2"},
        {"DeepseekV2ForCausalLM", "deepseek_v2"},
        {"BaiChuanForCausalLM", "baichuan"},
        {"OlmoeForCausalLM", "olmoe"},
        {"OPTForCausalLM", "opt"},
        {"CrystalCoderLMHeadModel", "crystalcoder"},
        {"SmolLM3ForCausalLM", "smollm3"},
        {"Starcoder2ForCausalLM", "starcoder2"},
        {"ModernBertDecoderForCausalLM", "modernbert-decoder"},
        {"HunYuanDenseV1ForCausalLM", "hunyuan_v1_dense"},
        {"Ernie4_5ForCausalLM", "ernie4_5"},
        {"GPTBigCodeForCausalLM", "gpt_bigcode"},
        {"GPTNeoForCausalLM", "gpt_neo"},
        {"GPTJForCausalLM", "gptj"},
        {"T5ForConditionalGeneration", NULL},
        {"Gemma3ForConditionalGeneration", NULL},
        {"GPT2DoubleHeadsModel", NULL},
        {"ForCausalLM", NULL},
        {"Model", NULL},
        {"llama", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *found = tr_family_of_class(cases[i].name);
        if (!found != !cases[i].type || (found && strcmp(found, cases[i].type)))
            fail_msg("%s is %s", cases[i].name, found ? found : "unknown");
    }
    struct tr_config config;
    struct tr_err err = {.text = ""};
    static const char json[] = "{\"architectures\": [\"LlamaForCausalLM\"], " LLAMA_SIZES "}";
    assert_int_equal(tr_config_parse(&config, json, sizeof json - 1, "config.json", &err), TR_OK);
    assert_string_equal(config.family->model_type, "llama");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(marks_the_sublayers_that_are_left_out),
        cmocka_unit_test(sets_nothing),
        cmocka_unit_test(parses_every_family),
        cmocka_unit_test(tells_baichuans_apart),
        cmocka_unit_test(tells_falcons_apart),
        cmocka_unit_test(reads_windows),
        cmocka_unit_test(chooses_ropes),
        cmocka_unit_test(reads_original_positions),
        cmocka_unit_test(classes_name_families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
