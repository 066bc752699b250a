// SPDX-License-Identifier: Apache-2.0
// The residual stream of chosen tokens at every boundary between blocks, against the sums that the
// taps give of the same sequences.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "model_run.h"

enum { MAX_TOKENS = 256, MAX_HIDDEN = 128, MAX_BOUNDARIES = 8, MAX_SEQUENCES = 16 };

// What a run gave: the sums of every sequence's blocks, and the chosen tokens' streams.
struct seen {
    int64_t hidden, seq_len, tokens, chosen[MAX_TOKENS], count;
    double xx[MAX_BOUNDARIES][MAX_SEQUENCES], dd[MAX_BOUNDARIES][MAX_SEQUENCES];
    float stream[MAX_BOUNDARIES][MAX_TOKENS * MAX_HIDDEN];
    int64_t filled[MAX_BOUNDARIES];
};

static void on_tap(void *user, const struct tr_tap *tap) {
    struct seen *seen = user;
    int64_t width = KN_SUMS + tr_position_bins(tap->seq_len);
    for (int64_t s = 0; s < tap->sequences; s++) {
        const double *sums = tap->sums + (TR_BLOCK * tap->sequences + s) * width;
        seen->xx[tap->layer][tap->first_sequence + s] = sums[KN_SUM_XX];
        seen->dd[tap->layer][tap->first_sequence + s] = sums[KN_SUM_DD];
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

// Runs a stored model over its tokens, those of every second sequence chosen; how many layers it
// has.
static int64_t run(struct seen *seen, const char *folder, const char *tokens, bool unified) {
    struct tr_err err;
    struct model_run m;
    struct kn_backend *kn;
    assert_int_equal(kn_open(&kn, KN_CPU, &(struct kn_options){.threads = 1}), KN_OK);
    kn->unified = unified;
    assert_int_equal(model_run_open(&m, kn, folder, tokens, (struct tr_wanted){0}, false, &err),
                     TR_OK);
    const struct tr_calibration *rows = &m.calibration;
    *seen = (struct seen){.hidden = m.loaded.config.hidden,
                          .seq_len = rows->seq_len,
                          .tokens = rows->sequences * rows->seq_len};
    assert_true(seen->tokens <= MAX_TOKENS && seen->hidden <= MAX_HIDDEN);
    assert_in_range(rows->sequences, 2, MAX_SEQUENCES);
    for (int64_t token = 0; token < seen->tokens; token++)
        if (token / rows->seq_len % 2 == 0)
            seen->chosen[seen->count++] = token;
    struct tr_taps taps = {.user = seen,
                           .tap = on_tap,
                           .slab = on_slab,
                           .token_count = seen->count,
                           .tokens = seen->chosen,
                           .boundary = on_boundary};
    assert_int_equal(model_run_pass(&m, &taps, &err), TR_OK);
    int64_t layers = m.loaded.config.layers;
    model_run_close(&m);
    kn->ops->close(kn);
    return layers;
}

// The sums over a sequence's tokens of |x_l|^2 and |x_(l+1) - x_l|^2 of the kept streams are the
// block's of x.x and delta.delta. `first` of the chosen tokens is the sequence's first.
static void compare_sequence(const struct seen *seen, int64_t layer, int64_t first) {
    int64_t sequence = seen->chosen[first] / seen->seq_len;
    double xx = 0, dd = 0, expected_xx = seen->xx[layer][sequence];
    double expected_dd = seen->dd[layer][sequence];
    for (int64_t i = first * seen->hidden; i < (first + seen->seq_len) * seen->hidden; i++) {
        double x = (double)seen->stream[layer][i], y = (double)seen->stream[layer + 1][i];
        xx += x * x;
        dd += (y - x) * (y - x);
    }
    assert_true(fabs(xx - expected_xx) <= 1e-12 * expected_xx);
    assert_true(fabs(dd - expected_dd) <= 1e-5 * (expected_dd + 1e-3 * expected_xx));
}

static void compare(const struct seen *seen, int64_t layers) {
    for (int64_t layer = 0; layer < layers; layer++)
        for (int64_t first = 0; first < seen->count; first += seen->seq_len)
            compare_sequence(seen, layer, first);
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
