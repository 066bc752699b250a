// SPDX-License-Identifier: Apache-2.0
// The run on a device, without one: models of all families through a backend whose work is late
// wherever nobody waits for it give the host's bits; slabs come in order and are given back in
// time.
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_device.h"
#include "model_run.h"

enum { MAX_VALUES = 1 << 21, RUNS = 2 };

// What a run handed out, in the order in which it was handed out.
struct seen {
    char bytes[MAX_VALUES];
    size_t size;
    int layers; // that have been handed out
};

static void keep(struct seen *seen, const void *bytes, int64_t count, size_t size) {
    assert_true(seen->size + (size_t)count * size <= sizeof seen->bytes);
    memcpy(seen->bytes + seen->size, bytes, (size_t)count * size);
    seen->size += (size_t)count * size;
}

static void on_tap(void *user, const struct tr_tap *tap) {
    struct seen *seen = user;
    int64_t rows = TR_MODULES * tap->sequences, bins = tr_position_bins(tap->seq_len);
    assert_true(tap->layer == seen->layers || tap->layer + 1 == seen->layers);
    seen->layers = tap->layer + 1;
    keep(seen, tap->sums, rows * (KN_SUMS + bins), sizeof *tap->sums);
    keep(seen, tap->counts, rows * (KN_COUNTS + TR_BINS + bins), sizeof *tap->counts);
    keep(seen, tap->importance, rows * tap->seq_len, sizeof *tap->importance);
}

static void on_loss(void *user, const struct tr_loss_tap *tap) {
    keep(user, tap->loss, tap->sequences * tap->seq_len, sizeof *tap->loss);
}

static void on_slab(void *user, int64_t index) {
    (void)user;
    (void)index;
}

#define OK(call) assert_ok((call), __LINE__)
static struct tr_err err;
static void assert_ok(enum tr_status status, int line) {
    if (status != TR_OK)
        fail_msg("line %d: %s", line, err.text);
}

// The checkpoint twice in a row, a sequence at a time, so that its end meets its beginning.
static void run(struct kn_backend *kn, const char *folder, struct seen *seen) {
    char digest[TR_DIGEST_MAX];
    struct model_run m;
    struct tr_taps taps = {.user = seen, .tap = on_tap, .loss = on_loss, .slab = on_slab};
    seen->size = 0;
    OK(model_run_open(&m, kn, folder, NULL, (struct tr_wanted){.head = true}, true, &err));
    struct tr_candidate whole = {.streams = m.streams, .taps = &taps};
    for (int i = 0; i < RUNS; i++)
        OK(tr_slab_reader_push(m.reader, folder, &m.wanted, &err));
    for (int i = 0; i < RUNS; i++) {
        OK(tr_slab_reader_begin(m.reader, &m.loaded, &err));
        seen->layers = 0;
        struct tr_weight_source source = tr_streamed_begin(m.weights, m.reader);
        OK(model_run_steps(&m, &source, &whole, 1, 0, 0, &err));
        tr_slab_reader_end(m.reader, digest);
        assert_true(*digest);
    }
    model_run_close(&m);
}

static void the_device_gives_the_bits_of_the_host(void **state) {
    (void)state;
    static const char *const root = "tests/golden/forward";
    static struct seen expected, seen;
    struct dirent **entries;
    int count = scandir(root, &entries, NULL, alphasort), models = 0;
    for (int i = 0; i < count; i++) {
        char folder[512];
        snprintf(folder, sizeof folder, "%s/%s", root, entries[i]->d_name);
        struct kn_backend *kn;
        bool is_model = entries[i]->d_name[0] != '.';
        free(entries[i]);
        if (!is_model)
            continue;
        models++;
        assert_int_equal(kn_open(&kn, KN_CPU, &(struct kn_options){.threads = 1}), KN_OK);
        run(kn, folder, &expected);
        kn->ops->close(kn);
        assert_true(expected.size > 0);
        for (int order = FAKE_LATE_COPIES; order <= FAKE_LATE_ALL; order++) {
            kn = fake_device_open((enum fake_order)order);
            assert_non_null(kn);
            run(kn, folder, &seen);
            kn->ops->close(kn);
            assert_int_equal(seen.size, expected.size);
            if (memcmp(seen.bytes, expected.bytes, seen.size))
                fail_msg("%s, order %d: other values than on the host", folder, order);
        }
    }
    free(entries);
    assert_true(models >= 60);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_device_gives_the_bits_of_the_host)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
