// SPDX-License-Identifier: Apache-2.0
// The keys that say something of single layers: what is read of them, and that no family has one
// that the table does not know.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/config_layers.h"

static void test_rows(void **state) {
    (void)state;
    const struct tr_layer_key *row;
    for (int i = 0; (row = tr_layer_key_at(i)); i++) {
        assert_ptr_equal(tr_layer_key_find(row->key), row); // each key once
        if (!row->spelled)
            continue;
        assert_int_equal(row->kind, TR_LAYER_RULE);
        const struct tr_layer_key *list = tr_layer_key_find(row->spelled);
        if (!list || list->kind == TR_LAYER_RULE)
            fail_msg("%s cannot be spelled out as %s", row->key, row->spelled);
    }
    assert_null(tr_layer_key_find("hidden_size"));
    assert_null(tr_layer_key_at(-1));
}

// A layer's number decides its kind under these keys only.
static void test_every_rule_of_a_family_is_a_row(void **state) {
    (void)state;
    static const enum tr_key rules[] = {TR_K_WINDOW_PERIOD, TR_K_WINDOW_START, TR_K_WINDOW_END,
                                        TR_K_NOPE_PERIOD,   TR_K_DENSE_FIRST,  TR_K_SPARSE_STEP,
                                        TR_K_SPARSE_LAST,   TR_K_LAYER_SCALE};
    int found = 0;
    for (int i = 0; tr_family_at(i); i++)
        for (int k = 0; k < TR_KEYS; k++) {
            const char *key = tr_family_at(i)->keys[k].json;
            const struct tr_layer_key *row = key ? tr_layer_key_find(key) : NULL;
            bool is_rule = false;
            for (size_t r = 0; r < sizeof rules / sizeof *rules; r++)
                is_rule = is_rule || rules[r] == (enum tr_key)k;
            if (key && is_rule != (row && row->kind == TR_LAYER_RULE))
                fail_msg("%s: %s", tr_family_at(i)->model_type, key);
            found += key && is_rule;
        }
    assert_true(found > 8);
}

#define SIZES                                                                                      \
    "\"num_hidden_layers\": 4, \"hidden_size\": 16, \"num_attention_heads\": 4, "                  \
    "\"num_key_value_heads\": 4, \"intermediate_size\": 24, \"vocab_size\": 61"
#define S "\"sliding_attention\""
#define F "\"full_attention\""

static void test_what_lists_say(void **state) {
    (void)state;
    static const struct {
        const char *json;
        enum tr_layer_flag flag;
        const char *layers; // where it is set
    } cases[] = {
        {"{\"model_type\": \"olmo3\", " SIZES "}", TR_LAYER_WINDOWED, "1110"},
        {"{\"model_type\": \"olmo3\", " SIZES ", \"layer_types\": [" S "," F "," S "," S "]}",
         TR_LAYER_WINDOWED, "1011"},
        {"{\"model_type\": \"olmo3\", " SIZES ", \"layer_types\": null}", TR_LAYER_WINDOWED,
         "1110"},
        {"{\"model_type\": \"olmo3\", " SIZES ", \"sliding_window\": null, \"layer_types\": [" S
         "," F "," S "," S "]}",
         TR_LAYER_WINDOWED, "0000"},
        {"{\"model_type\": \"smollm3\", " SIZES "}", TR_LAYER_NOPE, "0001"},
        {"{\"model_type\": \"smollm3\", " SIZES ", \"no_rope_layers\": [1, 0, 0, 1]}",
         TR_LAYER_NOPE, "0110"},
        {"{\"model_type\": \"smollm3\", " SIZES ", \"no_rope_layers\": [1, 0, 0, 1], "
         "\"use_sliding_window\": true, \"sliding_window\": 8}",
         TR_LAYER_WINDOWED, "0110"},
        {"{\"model_type\": \"smollm3\", " SIZES ", \"use_sliding_window\": true, "
         "\"sliding_window\": 8}",
         TR_LAYER_WINDOWED, "0001"},
        {"{\"model_type\": \"smollm3\", " SIZES ", \"use_sliding_window\": true, "
         "\"sliding_window\": 8, \"layer_types\": [" S "," F "," F "," F "]}",
         TR_LAYER_WINDOWED, "1000"},
        {"{\"model_type\": \"qwen3_moe\", " SIZES "}", TR_LAYER_EXPERTS, "1111"},
        {"{\"model_type\": \"qwen3_moe\", " SIZES ", \"decoder_sparse_step\": 2}", TR_LAYER_EXPERTS,
         "0101"},
        {"{\"model_type\": \"qwen3_moe\", " SIZES ", \"mlp_only_layers\": [3, 0, 3]}",
         TR_LAYER_EXPERTS, "0110"},
        {"{\"model_type\": \"qwen3_moe\", " SIZES ", \"mlp_only_layers\": []}", TR_LAYER_EXPERTS,
         "1111"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_config config;
        struct tr_err err = {.code = TR_OK};
        char layers[5] = "";
        if (tr_config_parse(&config, cases[i].json, strlen(cases[i].json), "c", &err) != TR_OK)
            fail_msg("%s: %s", cases[i].json, err.text);
        for (int layer = 0; layer < 4; layer++)
            layers[layer] = tr_config_has(&config, layer, cases[i].flag) ? '1' : '0';
        if (strcmp(layers, cases[i].layers) != 0)
            fail_msg("%s: %s, not %s", cases[i].json, layers, cases[i].layers);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_every_rule_of_a_family_is_a_row),
        cmocka_unit_test(test_what_lists_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
