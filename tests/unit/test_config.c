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
    {"{" LLAMA ", \"hidden_act\": \"softplus\"}", "activation \"softplus\" is not supported"},
    {"{" LLAMA ", \"hidden_act\": 1}", "\"hidden_act\""},
    {"{" LLAMA ", \"rope_scaling\": {\"type\": \"spiral\", \"factor\": 2.0}}",
     "rope type \"spiral\" is not supported; known: default, linear, dynamic, yarn, longrope, "
     "llama3"},
    {"{" LLAMA ", \"rope_parameters\": {\"rope_type\": \"proportional\"}}",
     "rope type \"proportional\" is not supported"},
    {"{" LLAMA ", \"quantization_config\": {\"bits\": 4}}",
     "quantized weights (\"quantization_config\") are not supported"},
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(sets_nothing),
        cmocka_unit_test(parses_every_family),
        cmocka_unit_test(tells_baichuans_apart),
        cmocka_unit_test(tells_falcons_apart),
        cmocka_unit_test(reads_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
