// SPDX-License-Identifier: Apache-2.0
// The residual stream of chosen tokens at every boundary between blocks, against the statistics
// that the taps give of the same tokens.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "forward.h"

enum { MAX_TOKENS = 256, MAX_HIDDEN = 128, MAX_BOUNDARIES = 8, EVERY = 3 };

// What a run gave: the statistics of every token's blocks, and the chosen tokens' streams.
struct seen {
    int64_t hidden, tokens, chosen[MAX_TOKENS], count;
    double xx[MAX_BOUNDARIES][MAX_TOKENS], dd[MAX_BOUNDARIES][MAX_TOKENS];
    float stream[MAX_BOUNDARIES][MAX_TOKENS * MAX_HIDDEN];
    int64_t filled[MAX_BOUNDARIES];
};

static void on_tap(void *user, const struct tr_tap *tap) {
    struct seen *seen = user;
    for (int64_t i = 0; tap->module == TR_BLOCK && i < tap->sequences * tap->seq_len; i++) {
        seen->xx[tap->layer][tap->first_sequence * tap->seq_len + i] = tap->xx[i];
        seen->dd[tap->layer][tap->first_sequence * tap->seq_len + i] = tap->dd[i];
    }
}

static void on_slab(void *user, int64_t index) {
    (void)user;
    (void)index;
}

static float *on_boundary(void *user, int64_t boundary, int64_t first, int64_t count) {
    struct seen *seen = user;
    assert_in_range(boundary, 0, MAX_BOUNDARIES - 1);
    assert_int_equal(first, seen->filled[boundary]); // each token once, in order
    assert_true(count > 0);
    seen->filled[boundary] += count;
    return seen->stream[boundary] + first * seen->hidden;
}

// Runs a stored model over its tokens, every third one chosen; how many layers it has.
static int64_t run(struct seen *seen, const char *folder, const char *tokens, bool unified) {
    struct tr_err err;
    struct tr_reader *reader;
    struct tr_loaded loaded;
    struct tr_calibration rows;
    struct kn_backend *kn;
    struct tr_forward *forward;
    char digest[TR_DIGEST_MAX];
    assert_int_equal(tr_loaded_examine(&loaded, folder, false, &err), TR_OK);
    struct tr_calibration_options options = {.vocabulary = loaded.config.vocabulary};
    assert_int_equal(tr_calibration_from_tokens(&rows, tokens, &options, &err), TR_OK);
    *seen = (struct seen){.hidden = loaded.config.hidden, .tokens = rows.sequences * rows.seq_len};
    assert_true(seen->tokens <= MAX_TOKENS && seen->hidden <= MAX_HIDDEN);
    for (int64_t token = 1; token < seen->tokens; token += EVERY)
        seen->chosen[seen->count++] = token;
    struct tr_taps taps = {.user = seen,
                           .tap = on_tap,
                           .slab = on_slab,
                           .token_count = seen->count,
                           .tokens = seen->chosen,
                           .boundary = on_boundary};
    assert_int_equal(kn_open(&kn, KN_CPU, &(struct kn_options){.threads = 1}), KN_OK);
    kn->unified = unified;
    assert_int_equal(tr_reader_open(&reader, &err), TR_OK);
    assert_int_equal(tr_reader_push(reader, folder, false, &err), TR_OK);
    assert_int_equal(tr_reader_begin(reader, &loaded, &err), TR_OK);
    assert_int_equal(
        tr_forward_new(&forward, kn, &loaded.config, &rows, rows.sequences, false, &err), TR_OK);
    assert_int_equal(tr_forward_run(forward, reader, 0, rows.sequences, &taps, &err), TR_OK);
    tr_reader_end(reader, digest);
    tr_forward_free(forward);
    kn->ops->close(kn);
    tr_calibration_free(&rows);
    tr_reader_close(reader);
    return loaded.config.layers;
}

// |x_l|^2 and |x_(l+1) - x_l|^2 of the kept streams are the block's x.x and delta.delta.
static void compare(const struct seen *seen, int64_t layers) {
    for (int64_t layer = 0; layer < layers; layer++)
        for (int64_t i = 0; i < seen->count; i++) {
            const float *x = seen->stream[layer] + i * seen->hidden;
            const float *y = seen->stream[layer + 1] + i * seen->hidden;
            double xx = 0, dd = 0;
            for (int64_t c = 0; c < seen->hidden; c++) {
                double delta = (double)y[c] - (double)x[c];
                xx += (double)x[c] * (double)x[c];
                dd += delta * delta;
            }
            double expected_xx = seen->xx[layer][seen->chosen[i]];
            double expected_dd = seen->dd[layer][seen->chosen[i]];
            assert_true(fabs(xx - expected_xx) <= 1e-12 * expected_xx);
            assert_true(fabs(dd - expected_dd) <= 1e-5 * (expected_dd + 1e-3 * expected_xx));
        }
    for (int64_t boundary = 0; boundary < MAX_BOUNDARIES; boundary++)
        assert_int_equal(seen->filled[boundary], boundary <= layers ? seen->count : 0);
}

// Pre-norm, parallel residual, a norm of the embedding, experts; also as if on a device.
static void kept_streams_are_those_of_the_taps(void **state) {
    (void)state;
    static const char *const folders[][2] = {
#define MODEL(name) {"tests/golden/forward/" name, "tests/golden/forward/" name "/tokens.npy"}
        MODEL("llama-0"), MODEL("gpt_neox-0"), MODEL("bloom-1"), MODEL("mixtral-3")};
    struct seen *seen = calloc(1, sizeof *seen);
    assert_non_null(seen);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        for (int unified = 0; unified < 2; unified++)
            compare(seen, run(seen, folders[i][0], folders[i][1], unified));
    free(seen);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_streams_are_those_of_the_taps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
