// SPDX-License-Identifier: Apache-2.0
// The forward pass as a list: weights streamed or resident, in one pass or cut at any step, one
// candidate or several side by side, give the same bits, also behind a pass that failed; a sublayer
// that is left out takes no weights and no product, whether the plan lacks it or a candidate drops
// it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_device.h"
#include "model_run.h"

enum { MAX_VALUES = 1 << 21, MAX_TOKENS = 1 << 14 };

static struct tr_err err;

#define OK(call) assert_ok((call), __LINE__)
static void assert_ok(enum tr_status status, int line) {
    if (status != TR_OK)
        fail_msg("line %d: %s", line, err.text);
}

// What a candidate's taps were given, in order; what stands in the place of an absent add is left
// out.
struct seen {
    char bytes[MAX_VALUES];
    size_t size;
    int64_t products[TR_SLAB_HEAD + 1][64]; // by kind of slab and layer
    int64_t absent[TR_MODULES];
    double losses[MAX_TOKENS]; // [tokens]
    int64_t tokens;
    double largest; // divergence of a token
    int64_t positions, agreements;
};

static void keep(struct seen *seen, const void *bytes, int64_t count, size_t size) {
    assert_true(seen->size + (size_t)count * size <= sizeof seen->bytes);
    memcpy(seen->bytes + seen->size, bytes, (size_t)count * size);
    seen->size += (size_t)count * size;
}

static void on_tap(void *user, const struct tr_tap *tap) {
    struct seen *seen = user;
    int64_t bins = tr_position_bins(tap->seq_len), width = KN_SUMS + bins;
    int64_t counts = KN_COUNTS + TR_BINS + bins;
    for (int m = 0; m < TR_MODULES; m++) {
        seen->absent[m] += !tap->has[m];
        if (!tap->has[m])
            continue;
        keep(seen, tap->sums + m * tap->sequences * width, tap->sequences * width, 8);
        keep(seen, tap->counts + m * tap->sequences * counts, tap->sequences * counts, 4);
    }
}

static void keep_losses(struct seen *seen, const double *losses, int64_t count) {
    assert_true(count <= MAX_TOKENS);
    keep(seen, losses, count, sizeof *losses);
    memcpy(seen->losses, losses, (size_t)count * sizeof *losses);
    seen->tokens = count;
}

static void on_loss(void *user, const struct tr_loss_tap *tap) {
    keep_losses(user, tap->loss, tap->sequences * tap->seq_len);
}

static void on_divergence(void *user, const struct tr_divergence_tap *tap) {
    struct seen *seen = user;
    keep_losses(seen, tap->loss, tap->sequences * tap->seq_len);
    for (int64_t i = 0; i < tap->sequences * tap->seq_len; i++) {
        assert_true(tap->divergence[i] > -1e-6);
        seen->largest = fmax(seen->largest, fabs(tap->divergence[i]));
        seen->agreements += tap->agrees[i];
        seen->positions++;
    }
}

static void on_slab(void *user, int64_t index) {
    (void)user;
    (void)index;
}

static enum tr_status on_product(void *user, struct kn_backend *kn,
                                 const struct tr_product_tap *tap, struct tr_err *error) {
    struct seen *seen = user;
    (void)kn;
    (void)error;
    assert_true(tap->op->product.x.data && tap->op->product.x.rows > 0);
    seen->products[tap->plan->kind][tap->plan->layer]++;
    return TR_OK;
}

static struct tr_taps taps_of(struct seen *seen) {
    *seen = (struct seen){0};
    return (struct tr_taps){.user = seen,
                            .tap = on_tap,
                            .loss = on_loss,
                            .divergence = on_divergence,
                            .slab = on_slab,
                            .product = on_product};
}

static void assert_same(const struct seen *a, const struct seen *b, const char *folder) {
    if (a->size == 0 || a->size != b->size || memcmp(a->bytes, b->bytes, a->size))
        fail_msg("%s: other bits", folder);
}

static struct seen expected, seen, other;

static void stream(struct kn_backend *kn, const char *folder, const struct tr_drop_set *drop,
                   struct seen *to) {
    struct model_run m;
    struct tr_taps taps = taps_of(to);
    struct tr_wanted wanted = {.head = true, .drop = drop};
    OK(model_run_open(&m, kn, folder, NULL, wanted, true, &err));
    OK(model_run_pass(&m, &taps, &err));
    model_run_close(&m);
}

// Resident weights: twice in a row, and cut after every step.
static void check_resident(struct kn_backend *kn, const char *folder) {
    struct model_run m;
    struct tr_resident *resident;
    OK(model_run_open(&m, kn, folder, NULL, (struct tr_wanted){.head = true}, true, &err));
    OK(tr_resident_open(&resident, kn, folder, &m.wanted, &err));
    struct tr_weight_source source = tr_resident_source(resident);
    for (int round = 0; round < 2; round++) {
        struct tr_taps taps = taps_of(&seen);
        struct tr_candidate whole = {.streams = m.streams, .taps = &taps};
        OK(model_run_steps(&m, &source, &whole, 1, 0, 0, &err));
        assert_same(&expected, &seen, folder);
    }
    tr_resident_close(resident);
    model_run_close(&m);
}

// One that drops a sublayer rides beside the whole model; each has the bits that it has alone.
static void check_candidates(struct kn_backend *kn, const char *folder, const char *text) {
    struct model_run m;
    struct tr_drop_set drop;
    struct tr_streams *second;
    struct tr_resident *resident;
    static struct seen alone;
    OK(tr_drop_set_parse(&drop, text, &err));
    stream(kn, folder, &drop, &alone);
    OK(model_run_open(&m, kn, folder, NULL, (struct tr_wanted){.head = true}, true, &err));
    OK(model_run_streams(&m, &second, &err));
    OK(tr_resident_open(&resident, kn, folder, &m.wanted, &err));
    struct tr_weight_source source = tr_resident_source(resident);
    struct tr_taps taps[2] = {taps_of(&seen), taps_of(&other)};
    struct tr_candidate both[2] = {{.streams = m.streams, .taps = &taps[0]},
                                   {.streams = second, .drop = &drop, .taps = &taps[1]}};
    OK(model_run_steps(&m, &source, both, 2, 0, 0, &err));
    assert_same(&expected, &seen, folder);
    assert_same(&alone, &other, folder);
    assert_memory_equal(alone.products, other.products, sizeof alone.products);
    for (int64_t i = 0; i < drop.count; i++) {
        int64_t layer = drop.drops[i].layer;
        bool attn = tr_drop_set_has(&drop, TR_ATTN, layer);
        bool mlp = tr_drop_set_has(&drop, TR_MLP, layer);
        assert_true(!attn || alone.products[TR_SLAB_ATTN][layer] == 0);
        assert_true(!mlp || alone.products[TR_SLAB_MLP][layer] +
                                    alone.products[TR_SLAB_ROUTER][layer] +
                                    alone.products[TR_SLAB_EXPERTS][layer] ==
                                0);
    }
    tr_resident_close(resident);
    tr_streams_free(second);
    model_run_close(&m);
    tr_drop_set_free(&drop);
}

static void check_losses(const struct seen *alone, const struct seen *fork, const char *folder) {
    if (!fork->tokens || alone->tokens != fork->tokens ||
        memcmp(alone->losses, fork->losses, (size_t)fork->tokens * sizeof *fork->losses))
        fail_msg("%s: a fork has other losses", folder);
}

// Candidates that fork beside the whole model: the losses that they have alone, and no product that
// the whole model has done for them. The empty set is the whole model, exactly.
static void check_forks(struct kn_backend *kn, const char *folder) {
    enum { FORKS = 4 };
    static const char *const texts[FORKS] = {"", "attn:1", "mlp:0", "block:1"};
    static struct seen alone[FORKS], forked[FORKS];
    struct model_run m;
    struct tr_resident *resident;
    struct tr_drop_set drops[FORKS];
    struct tr_streams *streams[FORKS];
    struct tr_taps taps[1 + FORKS] = {taps_of(&seen)};
    struct tr_candidate all[1 + FORKS] = {{.taps = &taps[0]}};
    OK(model_run_open(&m, kn, folder, NULL, (struct tr_wanted){.head = true}, true, &err));
    OK(tr_resident_open(&resident, kn, folder, &m.wanted, &err));
    for (int i = 0; i < FORKS; i++) {
        OK(tr_drop_set_parse(&drops[i], texts[i], &err));
        stream(kn, folder, &drops[i], &alone[i]);
        OK(model_run_fork(&m, &streams[i], &err));
        taps[1 + i] = taps_of(&forked[i]);
        all[1 + i] = (struct tr_candidate){
            .streams = streams[i], .drop = &drops[i], .taps = &taps[1 + i], .parent = &all[0]};
    }
    all[0].streams = m.streams;
    struct tr_weight_source source = tr_resident_source(resident);
    OK(model_run_steps(&m, &source, all, 1 + FORKS, 0, 0, &err));
    assert_same(&expected, &seen, folder);
    for (int i = 0; i < FORKS; i++) {
        check_losses(&alone[i], &forked[i], folder);
        assert_true(i == 0 ? forked[i].largest == 0 : forked[i].largest > 0);
        assert_true(i > 0 || forked[i].agreements == forked[i].positions);
        assert_int_equal(forked[i].products[TR_SLAB_ATTN][0], 0);
        tr_streams_free(streams[i]);
        tr_drop_set_free(&drops[i]);
    }
    tr_resident_close(resident);
    model_run_close(&m);
}

// A set that goes on from another one's streams, or from the whole model's where it leaves out
// something before that one does: the losses that it has alone. In a second pass the whole model is
// at its head already, and the set begins by itself.
static void check_parents(struct kn_backend *kn, const char *folder) {
    enum { SETS = 6 };
    static const char *const texts[SETS] = {"attn:1",       "attn:1 mlp:1", "attn:0,1",
                                            "attn:1 mlp:0", "block:1",      "attn:1"};
    static struct seen alone[SETS], forked[SETS];
    struct model_run m;
    struct tr_resident *resident;
    struct tr_drop_set drops[SETS];
    struct tr_streams *streams[SETS];
    struct tr_taps taps[1 + SETS];
    struct tr_candidate all[1 + SETS] = {{.taps = &taps[0]}};
    OK(model_run_open(&m, kn, folder, NULL, (struct tr_wanted){.head = true}, true, &err));
    OK(tr_resident_open(&resident, kn, folder, &m.wanted, &err));
    all[0].streams = m.streams;
    for (int i = 0; i < SETS; i++) {
        OK(tr_drop_set_parse(&drops[i], texts[i], &err));
        stream(kn, folder, &drops[i], &alone[i]);
        OK(model_run_fork(&m, &streams[i], &err));
        all[1 + i] = (struct tr_candidate){.streams = streams[i],
                                           .drop = &drops[i],
                                           .taps = &taps[1 + i],
                                           .parent = i ? &all[1] : &all[0]};
    }
    struct tr_weight_source source = tr_resident_source(resident);
    for (int pass = 0; pass < 2; pass++) {
        static struct seen first;
        taps[0] = taps_of(&first);
        for (int i = 0; i < SETS; i++)
            taps[1 + i] = taps_of(&forked[i]);
        OK(model_run_steps(&m, &source, all, 1 + SETS, 0, 0, &err));
        for (int i = 0; i < SETS; i++)
            check_losses(&alone[i], &forked[i], folder);
        // Nothing of the last one's blocks is computed twice, and nothing of the whole model's.
        assert_int_equal(forked[SETS - 1].products[TR_SLAB_MLP][1], 0);
        assert_true(pass == 0 || first.products[TR_SLAB_ATTN][0] == 0);
        all[0].at_head = true;
        all[1].parent = NULL;
    }
    for (int i = 0; i < SETS; i++) {
        tr_streams_free(streams[i]);
        tr_drop_set_free(&drops[i]);
    }
    tr_resident_close(resident);
    model_run_close(&m);
}

static void every_way_gives_the_same_bits(void **state) {
    (void)state;
    static const char *const root = "tests/golden/forward";
    struct kn_backend *kn;
    struct dirent **entries;
    int count = scandir(root, &entries, NULL, alphasort), models = 0;
    assert_int_equal(kn_open(&kn, KN_CPU, &(struct kn_options){.threads = 1}), KN_OK);
    for (int i = 0; i < count; i++) {
        char folder[512];
        snprintf(folder, sizeof folder, "%s/%s", root, entries[i]->d_name);
        bool model = strchr(entries[i]->d_name, '-') != NULL;
        free(entries[i]);
        if (!model)
            continue;
        stream(kn, folder, NULL, &expected);
        check_resident(kn, folder);
        check_candidates(kn, folder, "attn:0");
        check_candidates(kn, folder, "mlp:1");
        check_candidates(kn, folder, "block:0 attn:1");
        check_forks(kn, folder);
        check_parents(kn, folder);
        models++;
    }
    free(entries);
    assert_true(models > 60);
    kn->ops->close(kn);
}

static void a_late_device_gives_the_same_bits(void **state) {
    (void)state;
    struct kn_backend *kn, *device;
    assert_int_equal(kn_open(&kn, KN_CPU, &(struct kn_options){.threads = 1}), KN_OK);
    for (int i = 0; i < 2; i++) {
        const char *folder = i ? "tests/golden/forward/llama-0" : "tests/golden/forward/mixtral-0";
        stream(kn, folder, NULL, &expected);
        device = fake_device_open(FAKE_LATE_ALL);
        assert_non_null(device);
        check_resident(device, folder);
        check_candidates(device, folder, "attn:0 mlp:1");
        check_forks(device, folder);
        check_parents(device, folder);
        device->ops->close(device);
    }
    kn->ops->close(kn);
}

// A pass that is cut at a step goes on with what is in the streams.
static void a_pass_may_be_cut_between_blocks(void **state) {
    (void)state;
    struct model_run m;
    struct tr_resident *resident;
    struct kn_backend *kn;
    const char *folder = "tests/golden/forward/llama-0";
    assert_int_equal(kn_open(&kn, KN_CPU, &(struct kn_options){.threads = 1}), KN_OK);
    stream(kn, folder, NULL, &expected);
    OK(model_run_open(&m, kn, folder, NULL, (struct tr_wanted){.head = true}, true, &err));
    OK(tr_resident_open(&resident, kn, folder, &m.wanted, &err));
    struct tr_weight_source source = tr_resident_source(resident);
    for (int64_t cut = 1; cut < source.plan->step_count; cut++) {
        if (source.plan->steps[cut].kind != TR_STEP_ATTENTION)
            continue;
        struct tr_taps taps = taps_of(&seen);
        struct tr_candidate whole = {.streams = m.streams, .taps = &taps};
        OK(model_run_steps(&m, &source, &whole, 1, 0, cut, &err));
        OK(model_run_steps(&m, &source, &whole, 1, cut, 0, &err));
        assert_same(&expected, &seen, folder);
    }
    tr_resident_close(resident);
    model_run_close(&m);
    kn->ops->close(kn);
}

static enum tr_status fail_in_layer_1(void *user, struct kn_backend *kn,
                                      const struct tr_product_tap *tap, struct tr_err *error) {
    (void)user;
    (void)kn;
    return tap->plan->layer == 1 ? tr_fail(error, TR_EIO, "the weights end here") : TR_OK;
}

// The sums of layer 0 are on their way when layer 1 fails.
static void a_pass_that_failed_leaves_nothing_to_the_next(void **state) {
    (void)state;
    struct model_run m;
    struct kn_backend *kn;
    const char *folder = "tests/golden/forward/llama-0";
    assert_int_equal(kn_open(&kn, KN_CPU, &(struct kn_options){.threads = 1}), KN_OK);
    stream(kn, folder, NULL, &expected);
    OK(model_run_open(&m, kn, folder, NULL, (struct tr_wanted){.head = true}, true, &err));
    struct tr_taps failing = taps_of(&other), taps = taps_of(&seen);
    failing.product = fail_in_layer_1;
    assert_int_equal(model_run_pass(&m, &failing, &err), TR_EIO);
    OK(model_run_pass(&m, &taps, &err));
    assert_same(&expected, &seen, folder);
    model_run_close(&m);
    kn->ops->close(kn);
}

static void a_layer_that_is_not_there_cannot_be_dropped(void **state) {
    (void)state;
    struct tr_drop_set drop;
    struct tr_loaded loaded;
    OK(tr_drop_set_parse(&drop, "attn:99", &err));
    struct tr_wanted wanted = {.drop = &drop};
    assert_int_equal(tr_loaded_examine(&loaded, "tests/golden/forward/llama-0", &wanted, &err),
                     TR_EUSAGE);
    assert_non_null(strstr(err.text, "attn 99"));
    tr_drop_set_free(&drop);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_gives_the_same_bits),
        cmocka_unit_test(a_late_device_gives_the_same_bits),
        cmocka_unit_test(a_pass_may_be_cut_between_blocks),
        cmocka_unit_test(a_pass_that_failed_leaves_nothing_to_the_next),
        cmocka_unit_test(a_layer_that_is_not_there_cannot_be_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
