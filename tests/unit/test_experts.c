// SPDX-License-Identifier: Apache-2.0
// Experts run only for the tokens routed to them: the products' rows are counted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/forward.h"

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
    struct tr_reader *reader;
    struct tr_loaded loaded;
    struct tr_calibration rows;
    struct kn_backend *kn;
    struct tr_forward *forward;
    char digest[TR_DIGEST_MAX];
    struct tr_taps taps = {.tap = ignore_tap, .slab = ignore_slab};
    assert_int_equal(kn_open(&kn, KN_CPU, &(struct kn_options){.threads = 1}), KN_OK);
    assert_int_equal(tr_reader_open(&reader, kn, 0, 0, &err), TR_OK);
    assert_int_equal(tr_reader_push(reader, folder, false, &err), TR_OK);
    assert_int_equal(tr_reader_begin(reader, &loaded, &err), TR_OK);
    struct tr_calibration_options options = {.vocabulary = loaded.config.vocabulary};
    assert_int_equal(tr_calibration_from_tokens(&rows, tokens, &options, &err), TR_OK);
    struct tr_forward_options forward_options = {
        .calibration = &rows, .max_sequences = rows.sequences, .micro_batch = 1};
    assert_int_equal(tr_forward_new(&forward, kn, &loaded.config, &forward_options, &err), TR_OK);
    assert_int_equal(tr_forward_run(forward, reader, 0, rows.sequences, &taps, &err), TR_OK);
    int64_t count = tr_forward_routed_rows(forward);
    *config_p = loaded.config;
    *tokens_p = rows.sequences * rows.seq_len;
    tr_reader_end(reader, digest);
    tr_forward_free(forward);
    tr_calibration_free(&rows);
    tr_reader_close(reader);
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
