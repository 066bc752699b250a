// SPDX-License-Identifier: Apache-2.0
// What a caller of tr_drop_write may rely on beside what it writes: forms by name, and an end when
// it shall stop. tests/cli/test_written.py looks at what is written.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>

#include "drop/write.h"
#include "folder.h"

static void test_forms(void **state) {
    (void)state;
    struct tr_string names = {0};
    assert_int_equal(tr_drop_form_names(&names, NULL), TR_OK);
    assert_string_equal(names.data, "smaller, zeroed, llm-drop, block-configs or mergekit");
    tr_string_free(&names);
    assert_non_null(tr_drop_form_find("smaller", NULL));
    assert_null(tr_drop_form_find("smaller", "anymodel"));
    assert_null(tr_drop_form_find("smalle", NULL));
    assert_ptr_equal(tr_drop_form_find("block-configs", NULL),
                     tr_drop_form_find("block-configs", "anymodel"));
    assert_ptr_not_equal(tr_drop_form_find("block-configs", "nemotron-nas"),
                         tr_drop_form_find("block-configs", "anymodel"));
    assert_null(tr_drop_form_find("block-configs", "decilm"));
}

static int count_entries(const char *folder) {
    int count = 0;
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    while (readdir(entries))
        count++;
    closedir(entries);
    return count - 2; // . and ..
}

static void test_it_stops(void **state) {
    (void)state;
    static const char *const forms[] = {"smaller", "zeroed", "llm-drop"};
    const volatile sig_atomic_t stop = 1;
    char target[600], *folder = make_folder("stopped");
    snprintf(target, sizeof target, "%s/new", folder);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tr_string told = {0};
        struct tr_err err = {0};
        const struct tr_drop_write_options options = {.source = "tests/series/demo/step_6418",
                                                      .target = target,
                                                      .drop = "block:3",
                                                      .form = tr_drop_form_find(forms[i], NULL),
                                                      .made_by = "test",
                                                      .stop = &stop};
        assert_int_equal(tr_drop_write(&options, &told, &err), TR_EIO);
        assert_memory_equal(err.text, "stopped by a signal", strlen("stopped by a signal"));
        assert_int_equal(count_entries(folder), 0);
        assert_null(told.data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_it_stops),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
