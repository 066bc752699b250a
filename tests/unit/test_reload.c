// SPDX-License-Identifier: Apache-2.0
// The run of what was written beside the original: it has to see what is wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "reload.h"

#define SOURCE "tests/series/demo/step_6418"

static enum tr_status reload(struct tr_reloaded *reloaded, const char *drop, const char *folder,
                             struct tr_err *err) {
    static struct tr_drop_job job;
    const struct tr_drop_write_options options = {.source = SOURCE, .drop = drop, .threads = 1};
    enum tr_status status = tr_drop_job_open(&job, &options, err);
    if (status != TR_OK)
        fail_msg("%s", err->text);
    status = tr_reload(reloaded, &job, folder, err);
    tr_drop_job_close(&job);
    return status;
}

// The whole model in place of the one without the set.
static void test_the_original_is_not_it(void **state) {
    (void)state;
    static const char *const sets[] = {"attn:1", "mlp:9", "block:4"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct tr_reloaded reloaded;
        struct tr_err err = {0};
        assert_int_equal(reload(&reloaded, sets[i], SOURCE, &err), TR_EFORMAT);
        static const char sentence[] =
            "what was written to " SOURCE " is not the model without the set: losses differ by ";
        assert_memory_equal(err.text, sentence, sizeof sentence - 1);
    }
}

// Another model of the same shape, and one that is not there.
static void test_another_model_is_not_it(void **state) {
    (void)state;
    struct tr_reloaded reloaded;
    struct tr_err err = {0};
    assert_int_equal(reload(&reloaded, "attn:1", "tests/series/demo/step_4096", &err), TR_EFORMAT);
    assert_int_equal(reload(&reloaded, "attn:1", "tests/series/demo/nowhere", &err), TR_EIO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_original_is_not_it),
        cmocka_unit_test(test_another_model_is_not_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
