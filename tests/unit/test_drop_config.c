// SPDX-License-Identifier: Apache-2.0
// Which sublayers config.json leaves out, in every spelling.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "model/drop_config.h"

enum { LAYERS = 4 };

static enum tr_status read_text(struct tr_drop_lists *lists, const char *json, struct tr_err *err) {
    json_t *root;
    assert_int_equal(tr_json_parse(&root, json, strlen(json), "c", err), TR_OK);
    enum tr_status status = tr_drop_lists_read(lists, root, LAYERS, false, "c", err);
    json_decref(root);
    return status;
}

// Layers as a word of '.' (kept) and 'x' (dropped).
static const struct {
    const char *json, *attention, *mlp;
} read_right[] = {
    {"{}", "....", "...."},
    {"{\"drop_attn_list\": null, \"drop_mlp_list\": []}", "....", "...."},
    {"{\"drop_attn_list\": [2, 3], \"drop_mlp_list\": null}", "..xx", "...."},
    {"{\"drop_mlp_list\": [3, 0, 3]}", "....", "x..x"},
    {"{\"drop_attn_list\": [false, true, false, true]}", ".x.x", "...."},
    {"{\"drop_attn_list\": [false, false, false, false]}", "....", "...."},
    {"{\"drop_mlp_list\": [true, 3]}", "....", "x..x"},
    {"{\"drop_attn_list\": [1], \"drop_mlp_list\": [1]}", ".x..", ".x.."},
    {"{\"per_layer_config\": null}", "....", "...."},
    {"{\"per_layer_config\": {}}", "....", "...."},
    {"{\"per_layer_config\": {\"2\": {\"skip\": [\"attention\"]}, \"03\": {\"skip\": "
     "[\"mlp\", \"attention\"]}}}",
     "..xx", "...x"},
    {"{\"per_layer_config\": {\"0\": {\"skip\": []}, \"1\": {}, \"2\": {\"skip\": null}}}", "....",
     "...."},
    {"{\"intermediate_size\": 8, \"per_layer_config\": {\"1\": {\"intermediate_size\": 8, "
     "\"skip\": [\"mlp\"]}}}",
     "....", ".x.."},
    {"{\"block_configs\": null}", "....", "...."},
    {"{\"num_key_value_heads\": 2, \"block_configs\": [{\"attention\": {\"no_op\": true}, "
     "\"ffn\": {\"no_op\": false}}, {\"attention\": {\"no_op\": false, \"num_key_value_heads\": 2, "
     "\"replace_with_linear\": false, \"window_length\": null}, \"ffn\": {\"no_op\": true, "
     "\"intermediate_size\": 7}}, {}, {\"attention\": null}]}",
     "x...", ".x.."},
    {"{\"drop_attn_list\": [0], \"per_layer_config\": {\"1\": {\"skip\": [\"attention\"]}}}",
     "xx..", "...."},
};

static void reads_every_spelling(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof read_right / sizeof read_right[0]; i++) {
        struct tr_drop_lists lists;
        struct tr_err err = {.code = TR_OK};
        if (read_text(&lists, read_right[i].json, &err) != TR_OK)
            fail_msg("%s: %s", read_right[i].json, err.text);
        char attention[LAYERS + 1] = "", mlp[LAYERS + 1] = "";
        int64_t count = 0;
        for (int layer = 0; layer < LAYERS; layer++) {
            attention[layer] = lists.attention[layer] ? 'x' : '.';
            mlp[layer] = lists.mlp[layer] ? 'x' : '.';
            count += lists.attention[layer] + lists.mlp[layer];
        }
        assert_string_equal(attention, read_right[i].attention);
        assert_string_equal(mlp, read_right[i].mlp);
        assert_int_equal(lists.count, count);
    }
}

static const struct {
    const char *json, *sentence;
} refused[] = {
    {"{\"drop_attn_list\": 3}", "c: \"drop_attn_list\" must be a list, it is an integer"},
    {"{\"drop_attn_list\": [4]}",
     "c: \"drop_attn_list\" must hold numbers of layers, or true or false for each layer"},
    {"{\"drop_mlp_list\": [-1]}",
     "c: \"drop_mlp_list\" must hold numbers of layers, or true or false for each layer"},
    {"{\"drop_mlp_list\": [\"1\"]}",
     "c: \"drop_mlp_list\" must hold numbers of layers, or true or false for each layer"},
    {"{\"drop_mlp_list\": [1.5]}",
     "c: \"drop_mlp_list\" must hold numbers of layers, or true or false for each layer"},
    {"{\"drop_attn_list\": [true, false]}", "c: \"drop_attn_list\" has 2 entries for 4 layers"},
    {"{\"drop_attn_list\": [true, true, true, true, true]}",
     "c: \"drop_attn_list\" has 5 entries for 4 layers"},
    {"{\"drop_attn_list\": [0, 1, 2, 3, true]}",
     "c: \"drop_attn_list\" must hold numbers of layers, or true or false for each layer"},
    {"{\"per_layer_config\": [1]}", "c: \"per_layer_config\" must be an object, it is an array"},
    {"{\"per_layer_config\": {\"4\": {}}}",
     "c: \"per_layer_config\" must hold an object for each number of a layer"},
    {"{\"per_layer_config\": {\"-1\": {}}}",
     "c: \"per_layer_config\" must hold an object for each number of a layer"},
    {"{\"per_layer_config\": {\"1x\": {}}}",
     "c: \"per_layer_config\" must hold an object for each number of a layer"},
    {"{\"per_layer_config\": {\"99999999999999999999\": {}}}",
     "c: \"per_layer_config\" must hold an object for each number of a layer"},
    {"{\"per_layer_config\": {\"1\": []}}",
     "c: \"per_layer_config\" must hold an object for each number of a layer"},
    {"{\"per_layer_config\": {\"1\": {\"skip\": \"mlp\"}}}",
     "c: \"skip\" must be a list, it is a string"},
    {"{\"per_layer_config\": {\"1\": {\"skip\": [\"norm\"]}}}",
     "c: \"per_layer_config\" must hold \"attention\" or \"mlp\" in \"skip\""},
    {"{\"intermediate_size\": 8, \"per_layer_config\": {\"1\": {\"intermediate_size\": 4}}}",
     "c: \"per_layer_config\" changes \"intermediate_size\" in layer 1: layers of one model that "
     "differ are not supported"},
    {"{\"block_configs\": {}}", "c: \"block_configs\" must be a list, it is an object"},
    {"{\"block_configs\": [{}]}", "c: \"block_configs\" has 1 entries for 4 layers"},
    {"{\"block_configs\": [{}, {}, {}, 1]}",
     "c: \"block_configs\" must hold an object for each layer"},
    {"{\"block_configs\": [{}, {}, {}, {\"ffn\": {\"no_op\": 1}}]}",
     "c: \"no_op\" must be true or false, it is an integer"},
    {"{\"block_configs\": [{}, {}, {}, {\"ffn\": {\"ffn_mult\": 2.5}}]}",
     "c: \"block_configs\" changes \"ffn_mult\" in a layer: layers of one model that differ are "
     "not supported"},
    {"{\"block_configs\": [{}, {}, {}, {\"attention\": {\"replace_with_linear\": true}}]}",
     "c: \"block_configs\" changes \"replace_with_linear\" in a layer: layers of one model that "
     "differ are not supported"},
};

static void refuses(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct tr_drop_lists lists;
        struct tr_err err = {.code = TR_OK};
        if (read_text(&lists, refused[i].json, &err) == TR_OK)
            fail_msg("%s is read", refused[i].json);
        assert_string_equal(err.text, refused[i].sentence);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_spelling),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
