// SPDX-License-Identifier: Apache-2.0
// Experts run only for the tokens routed to them: the products' rows are counted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model_run.h"

static void ignore_tap(void *user, const struct tr_tap *tap) {
    (void)user;
    (void)tap;
}

static void ignore_slab(void *user, int64_t index) {
    (void)user;
    (void)index;
}

// Runs a stored model over its tokens and gives the rows that its experts worked on.
static int64_t routed_rows(const char *folder, const char *tokens, struct tr_config *config_p,
                           int64_t *tokens_p) {
    struct tr_err err;
    struct model_run m;
    struct kn_backend *kn;
    struct tr_taps taps = {.tap = ignore_tap, .slab = ignore_slab};
    assert_int_equal(kn_open(&kn, KN_CPU, &(struct kn_options){.threads = 1}), KN_OK);
    assert_int_equal(model_run_open(&m, kn, folder, tokens, (struct tr_wanted){0}, false, &err),
                     TR_OK);
    assert_int_equal(model_run_pass(&m, &taps, &err), TR_OK);
    int64_t count = tr_forward_routed_rows(m.forward);
    *config_p = m.loaded.config;
    *tokens_p = m.calibration.sequences * m.calibration.seq_len;
    model_run_close(&m);
    kn->ops->close(kn);
    return count;
}

static void runs_the_routed_share(void **state) {
    (void)state;
    struct tr_config config;
    int64_t tokens,
        count = routed_rows("tests/golden/forward/mixtral-3",
                            "tests/golden/forward/mixtral-3/tokens.npy", &config, &tokens);
    assert_int_equal(config.experts, 8);
    assert_int_equal(config.experts_used, 2);
    assert_int_equal(tokens, 48);
    assert_int_equal(count, 2 * tokens * config.layers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_the_routed_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
