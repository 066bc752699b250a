// SPDX-License-Identifier: Apache-2.0
// config.json of a model that has some of the layers alone: what is cut, renumbered and spelled
// out, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cut_config.h"

#define SIZES                                                                                      \
    "\"hidden_size\": 16, \"num_attention_heads\": 4, \"num_key_value_heads\": 4, "                \
    "\"intermediate_size\": 24, \"vocab_size\": 61"
#define LAYERS(n) "\"num_hidden_layers\": " #n
#define S "\"sliding_attention\""
#define F "\"full_attention\""

// A model of which the layers in `kept`, "0235", stay.
static void open_job(struct tr_drop_job *job, const char *json, const char *kept) {
    struct tr_err err;
    memset(job, 0, sizeof *job);
    job->config_path = "config.json";
    job->root = json_loads(json, 0, NULL);
    assert_non_null(job->root);
    if (tr_config_parse(&job->config, json, strlen(json), "config.json", &err) != TR_OK)
        fail_msg("%s", err.text);
    for (int64_t layer = 0; layer < job->config.layers; layer++) {
        bool stays = strchr(kept, (char)('0' + layer));
        job->dropped.attention[layer] = job->dropped.mlp[layer] = !stays;
        job->number[layer] = stays ? job->kept_count : -1;
        if (stays)
            job->kept[job->kept_count++] = layer;
    }
}

static void test_what_is_cut(void **state) {
    (void)state;
    static const struct {
        const char *json, *kept;
        const char *expected; // members that are there afterwards; null: are not
    } cases[] = {
        // Nothing of single layers.
        {"{\"model_type\": \"llama\", " LAYERS(4) ", " SIZES "}", "13", "{" LAYERS(2) "}"},
        // Both spellings of the number of layers.
        {"{\"model_type\": \"bloom\", \"n_layer\": 4, " LAYERS(
             4) ", \"n_head\": 4, "
                "\"hidden_size\": 16, \"vocab_size\": 61}",
         "013", "{\"n_layer\": 3, " LAYERS(3) "}"},
        // A list with an entry for each layer, and a rule spelled out where there is none.
        {"{\"model_type\": \"gemma2\", " LAYERS(4) ", " SIZES ", \"layer_types\": [" S "," S "," F
                                                   "," F "]}",
         "123", "{" LAYERS(3) ", \"layer_types\": [" S "," F "," F "]}"},
        {"{\"model_type\": \"gemma2\", " LAYERS(4) ", " SIZES "}", "023",
         "{" LAYERS(3) ", \"layer_types\": [" S "," S "," F "]}"},
        {"{\"model_type\": \"qwen2\", " LAYERS(
             4) ", " SIZES ", \"use_sliding_window\": true, "
                "\"sliding_window\": 8, \"max_window_layers\": 2}",
         "023", "{\"max_window_layers\": 1, \"layer_types\": [" F "," S "," S "]}"},
        // Without a window there is nothing to say.
        {"{\"model_type\": \"qwen2\", " LAYERS(4) ", " SIZES "}", "02",
         "{" LAYERS(2) ", \"layer_types\": null}"},
        {"{\"model_type\": \"smollm3\", " LAYERS(5) ", " SIZES "}", "0234",
         "{\"no_rope_layers\": [1, 1, 0, 1]}"},
        {"{\"model_type\": \"gpt_neo\", \"num_layers\": 4, \"hidden_size\": 16, \"num_heads\": 4, "
         "\"vocab_size\": 61, \"attention_types\": [[[\"global\", \"local\"], 2]]}",
         "023",
         "{\"num_layers\": 3, \"attention_types\": [[[\"global\", \"global\", \"local\"], 1]], "
         "\"attention_layers\": [\"global\", \"global\", \"local\"]}"},
        // The last layer with experts is the model's last one again.
        {"{\"model_type\": \"ernie4_5_moe\", " LAYERS(
             4) ", " SIZES ", \"moe_num_experts\": 4, \"moe_k\": 2, \"moe_intermediate_size\": 8, "
                "\"moe_layer_end_index\": 3}",
         "013",
         "{\"moe_layer_start_index\": 1, \"moe_layer_interval\": 1, \"moe_layer_end_index\": -1}"},
        // Numbers of layers; a step that no longer fits becomes a list.
        {"{\"model_type\": \"qwen3_moe\", " LAYERS(
             4) ", " SIZES ", \"num_experts\": 4, "
                "\"num_experts_per_tok\": 2, \"moe_intermediate_size\": 8, \"mlp_only_layers\": "
                "[0, 3]}",
         "123", "{\"mlp_only_layers\": [2], \"decoder_sparse_step\": 1}"},
        {"{\"model_type\": \"qwen3_moe\", " LAYERS(
             4) ", " SIZES ", \"num_experts\": 4, "
                "\"num_experts_per_tok\": 2, \"moe_intermediate_size\": 8, "
                "\"decoder_sparse_step\": 2}",
         "013", "{\"mlp_only_layers\": [0], \"decoder_sparse_step\": 1}"},
        {"{\"model_type\": \"deepseek\", " LAYERS(
             5) ", " SIZES ", \"n_routed_experts\": 4, "
                "\"num_experts_per_tok\": 2, \"moe_intermediate_size\": 8, "
                "\"first_k_dense_replace\": 2}",
         "034", "{\"first_k_dense_replace\": 1, \"moe_layer_freq\": 1}"},
        {"{\"model_type\": \"deepseek\", " LAYERS(
             5) ", " SIZES ", \"n_routed_experts\": 4, "
                "\"num_experts_per_tok\": 2, \"moe_intermediate_size\": 8, \"moe_layer_freq\": 2}",
         "0134", "{\"first_k_dense_replace\": 0, \"moe_layer_freq\": 3}"},
        // What the class divides by the root of the number of layers.
        {"{\"model_type\": \"minicpm\", " LAYERS(4) ", " SIZES ", \"scale_depth\": 3.0}", "2",
         "{" LAYERS(1) ", \"scale_depth\": 1.5}"},
        // Keys that say drops, and a list that is as long by chance.
        {"{\"model_type\": \"llama\", " LAYERS(
             2) ", " SIZES ", \"eos_token_id\": [1, 2], "
                "\"drop_attn_list\": [], \"per_layer_config\": {}}",
         "1",
         "{\"eos_token_id\": [1, 2], \"drop_attn_list\": null, \"drop_mlp_list\": null, "
         "\"per_layer_config\": null}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_drop_job job;
        struct tr_err err;
        const char *key;
        json_t *value, *expected = json_loads(cases[i].expected, 0, NULL);
        assert_non_null(expected);
        open_job(&job, cases[i].json, cases[i].kept);
        json_t *root = json_deep_copy(job.root);
        if (tr_cut_config(&job, root, &err) != TR_OK)
            fail_msg("case %zu: %s", i, err.text);
        json_object_foreach(expected, key, value) {
            const json_t *found = json_object_get(root, key);
            if (json_is_null(value) ? found != NULL : !json_equal(found, value))
                fail_msg("case %zu: %s is %s", i, key, json_dumps(found, JSON_ENCODE_ANY));
        }
        json_decref(expected);
        json_decref(root);
        json_decref(job.root);
    }
}

static void test_what_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *json, *kept, *sentence;
    } cases[] = {
        {"{\"model_type\": \"llama\", " LAYERS(3) ", " SIZES ", \"scales\": [1, 2, 3]}", "02",
         "config.json: \"scales\" has an entry for each of the 3 layers, and how it is cut is not "
         "known"},
        {"{\"model_type\": \"llama\", " LAYERS(3) ", " SIZES ", \"own\": {\"in\": {\"scales\": "
                                                  "[1, 2, 3]}}}",
         "02",
         "config.json: \"scales\" has an entry for each of the 3 layers, and how it is cut is not "
         "known"},
        {"{\"model_type\": \"llama\", " LAYERS(3) ", " SIZES ", \"block_types\": [1, 2]}", "02",
         "config.json: \"block_types\" has 2 entries for 3 layers: how it is cut is not known"},
        // A rule's key with a list.
        {"{\"model_type\": \"llama\", " LAYERS(3) ", " SIZES ", \"moe_layer_freq\": [0, 1, 1]}",
         "02",
         "config.json: \"moe_layer_freq\" has an entry for each of the 3 layers, and how it is cut "
         "is not known"},
        // A dense layer behind one with experts, in a class that has neither list nor step.
        {"{\"model_type\": \"deepseek\", " LAYERS(
             5) ", " SIZES ", \"n_routed_experts\": 4, "
                "\"num_experts_per_tok\": 2, \"moe_intermediate_size\": 8, \"moe_layer_freq\": 2}",
         "023",
         "config.json: block 2 would be block 1, and config.json cannot say of that one what this "
         "one's number says: experts"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_drop_job job;
        struct tr_err err = {0};
        open_job(&job, cases[i].json, cases[i].kept);
        json_t *root = json_deep_copy(job.root);
        enum tr_status status = tr_cut_config(&job, root, &err);
        if (status != TR_EUNSUPPORTED || strcmp(err.text, cases[i].sentence))
            fail_msg("case %zu: status %d, %s", i, status, err.text);
        json_decref(root);
        json_decref(job.root);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_cut),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
