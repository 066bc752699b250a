// SPDX-License-Identifier: Apache-2.0
// Drop sets: text to members and back, and every text that is none.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/drop_set.h"
#include "folder.h"

static void assert_text(const char *text, const char *canonical) {
    struct tr_drop_set set;
    struct tr_string out = {0};
    struct tr_err err;
    if (tr_drop_set_parse(&set, text, &err) != TR_OK)
        fail_msg("%s: %s", text, err.text);
    assert_int_equal(tr_drop_set_text(&set, &out, &err), TR_OK);
    assert_string_equal(out.data ? out.data : "", canonical);
    tr_string_free(&out);
    tr_drop_set_free(&set);
}

static void texts_have_one_canonical_form(void **state) {
    (void)state;
    assert_text("", "");
    assert_text("  \n", "");
    assert_text("attn:3", "attn:3");
    assert_text("attn:25,26,24 mlp:27 block:3", "attn:24,25,26 mlp:27 block:3");
    assert_text("mlp:1 attn:1", "block:1");
    assert_text("block:3-5", "block:3,4,5");
    assert_text("attn:7-7,2", "attn:2,7");
    assert_text("\tattn:1  attn:0\r\n", "attn:0,1");
}

static void members_keep_their_order(void **state) {
    (void)state;
    struct tr_drop_set set;
    struct tr_err err;
    assert_int_equal(tr_drop_set_parse(&set, "attn:25,26,24 block:3", &err), TR_OK);
    const int32_t layers[] = {25, 26, 24, 3};
    assert_int_equal(set.count, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(set.drops[i].layer, layers[i]);
    assert_true(tr_drop_set_has(&set, TR_ATTN, 26));
    assert_false(tr_drop_set_has(&set, TR_MLP, 26));
    assert_false(tr_drop_set_has(&set, TR_BLOCK, 26));
    assert_true(tr_drop_set_has(&set, TR_MLP, 3));
    assert_true(tr_drop_set_has(&set, TR_BLOCK, 3));
    assert_int_equal(tr_drop_set_check(&set, 27, &err), TR_OK);
    assert_int_equal(tr_drop_set_check(&set, 26, &err), TR_EUSAGE);
    assert_non_null(strstr(err.text, "attn 26"));
    tr_drop_set_free(&set);
    assert_false(tr_drop_set_has(NULL, TR_ATTN, 0));
}

static void what_is_no_set_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"attn",
                                        "attn:",
                                        "attn:a",
                                        "attn:1,",
                                        "attn:,1",
                                        "attn:-1",
                                        "attn:3-",
                                        "attn:3-1",
                                        "head:1",
                                        "attn:1;mlp:2",
                                        "25",
                                        ":1",
                                        "attn:1 1",
                                        "attn:1,1",
                                        "attn:1 block:1",
                                        "block:1 mlp:1",
                                        "attn:1.5",
                                        "attn:99999999999",
                                        "attn:1-9999999999999",
                                        "Attn:1",
                                        "attn:1,mlp:2"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct tr_drop_set set;
        struct tr_err err;
        if (tr_drop_set_parse(&set, texts[i], &err) != TR_EUSAGE)
            fail_msg("\"%s\" was read", texts[i]);
        assert_true(*err.text);
    }
}

// ---- what LLM-Drop keeps -----------------------------------------------------------------------

static void read_kept(const char *argument, const char *file, const char *expected) {
    struct tr_drop_set set;
    struct tr_err err;
    struct tr_string text = {0};
    char *path = in_folder("reserved_layers.json"), word[3 * FOLDER_PATH];
    write_text(path, file);
    snprintf(word, sizeof word, "%s@%s", argument, path);
    enum tr_status status = tr_drop_set_read(&set, word, &err);
    if (!expected) {
        assert_int_equal(status, TR_EUSAGE);
        assert_true(*err.text);
        return;
    }
    assert_int_equal(status, TR_OK);
    assert_int_equal(tr_drop_set_text(&set, &text, &err), TR_OK);
    assert_string_equal(text.data, expected);
    tr_string_free(&text);
    tr_drop_set_free(&set);
}

static void kept_layers_are_read(void **state) {
    (void)state;
    read_kept("attn/6", "[0, 1, 2, 5]", "attn:3,4");
    read_kept("mlp/6", "[5, 1, 0, 3]", "mlp:2,4");
    read_kept("block/4", "[1, 2]\n", "block:0,3");
    read_kept("joint/4", "[0, 2, 3, 4, 5, 6]", "attn:1 mlp:3");
    read_kept("joint/2", "[0, 2]", "block:1");
}

static void a_list_is_of_one_model(void **state) {
    (void)state;
    struct tr_drop_set set;
    struct tr_err err;
    char word[3 * FOLDER_PATH];
    char *path = in_folder("kept.json");
    write_text(path, "[0, 1]");
    snprintf(word, sizeof word, "attn/3@%s", path);
    assert_int_equal(tr_drop_set_read(&set, word, &err), TR_OK);
    assert_int_equal(tr_drop_set_check(&set, 3, &err), TR_OK);
    assert_int_equal(tr_drop_set_check(&set, 4, &err), TR_EUSAGE);
    assert_non_null(strstr(err.text, "of a model of 3 layers"));
    tr_drop_set_free(&set);
    snprintf(word, sizeof word, "@%s", path);
    assert_int_equal(tr_drop_set_read(&set, word, &err), TR_EUSAGE);
    assert_non_null(strstr(err.text, "does not say of what"));
}

static void what_is_no_kept_list_is_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"attn", "[0]"},        {"attn/", "[0]"},        {"attn/0", "[]"},    {"/3", "[0]"},
        {"head/3", "[0]"},      {"attn/3x", "[0]"},      {"attn/-3", "[0]"},  {"attn/3", "[3]"},
        {"attn/3", "[-1]"},     {"attn/3", "[0, 0]"},    {"attn/3", "[0.5]"}, {"attn/3", "[true]"},
        {"attn/3", "[\"0\"]"},  {"attn/3", "{\"0\":1}"}, {"joint/3", "[6]"},  {"attn/3/3", "[0]"},
        {"attn/999999", "[0]"}, {"attn:1 mlp/3", "[0]"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        read_kept(cases[i][0], cases[i][1], NULL);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_layers_are_read),
        cmocka_unit_test(a_list_is_of_one_model),
        cmocka_unit_test(what_is_no_kept_list_is_refused),
        cmocka_unit_test(texts_have_one_canonical_form),
        cmocka_unit_test(members_keep_their_order),
        cmocka_unit_test(what_is_no_set_is_refused),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
