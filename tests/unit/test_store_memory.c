// SPDX-License-Identifier: Apache-2.0
// Memory that runs out while a store is opened, a row committed and both published: each array of
// ours in turn is refused once. What cannot do without it says so, nothing crashes, and the next
// run publishes what was measured.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "store_fixture.h"

// Of about 400 arrays every eighth; by hand, with 1 and 1, all (none wrong).
#ifndef FIRST
enum { FIRST = 8, EVERY = 8 };
#endif
enum { MOST = 10000 };
static const struct tr_layout small = {.layers = 1, .sequences = 1, .seq_len = 4, .nll = true};
static int64_t allocations, refused; // counted from 1 on; none is refused at 0

void *__libc_memalign(size_t alignment, size_t size);

// Replaces the C library's, which tr_alloc asks.
void *aligned_alloc(size_t alignment, size_t size) {
    return ++allocations == refused ? NULL : __libc_memalign(alignment, size);
}

static enum tr_status publish_one(int64_t step) {
    struct tr_store *store;
    char *warnings = NULL;
    TR_TRY(tr_store_open(&store, out, &info, false, &warnings, &err));
    free(warnings);
    enum tr_status status = sample_commit(out, &info, step, step, &err);
    if (status == TR_OK)
        status = tr_store_publish(store, NULL, &err);
    tr_store_close(store);
    return status;
}

static void assert_whole(void) {
    struct tr_trace *trace;
    OK(tr_trace_open(&trace, out, &err));
    assert_int_equal(tr_trace_rows(trace), 2);
    for (int64_t row = 0; row < 2; row++)
        OK(tr_trace_check_row(trace, row, &err));
    tr_trace_close(trace);
}

static void test_each_array(void **state) {
    (void)state;
    int64_t failures = 0;
    info.layout = small;
    publish_steps((const int64_t[]){0}, 1);
    bool reached = true;
    for (int64_t n = FIRST; reached; n += EVERY) {
        assert_true(n < MOST);
        allocations = 0;
        refused = n;
        enum tr_status status = publish_one(1);
        reached = allocations >= n;
        refused = 0;
        failures += status != TR_OK;
        if (status != TR_OK && !strstr(err.text, "no memory for "))
            fail_msg("array %lld: %s", (long long)n, err.text);
        if (status == TR_OK) // it could do without
            assert_whole();
    }
    assert_true(failures > 20);
    assert_whole();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_array, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
