// SPDX-License-Identifier: Apache-2.0
#ifndef TEST_STORE_FIXTURE_H
#define TEST_STORE_FIXTURE_H

// A store in a folder of its own for each test, and what its tests share. To be included after
// cmocka.h.

#include <dirent.h>
#include <stdlib.h>

#include "../tools/sample.h"
#include "folder.h"

static const struct tr_layout layout = {.layers = 3,
                                        .sequences = 4,
                                        .seq_len = 20,
                                        .nll = true,
                                        .per_token = true,
                                        .span_tokens = 16,
                                        .probes = 5,
                                        .channels = 6,
                                        .cost_sequences = 2,
                                        .cost_batch = 1,
                                        .drop_sets = 3,
                                        .set_distances = true,
                                        .rounds = 2,
                                        .candidates = 4};
static char out[FOLDER_PATH + 8], parts[FOLDER_PATH + 16];
static struct tr_run_info info;
static struct tr_err err;

#define OK(call) assert_ok((call), __LINE__)
static inline void assert_ok(enum tr_status status, int line) {
    if (status != TR_OK)
        fail_msg("line %d: %s", line, err.text);
}

#define FAILS(call, status, sentence)                                                              \
    do {                                                                                           \
        assert_int_equal((call), (status));                                                        \
        assert_string_equal(err.text, (sentence));                                                 \
    } while (0)

static inline int setup(void **state) {
    (void)state;
    if (folder_create(NULL))
        return -1;
    snprintf(out, sizeof out, "%s/t.h5", test_folder);
    snprintf(parts, sizeof parts, "%s.parts", out);
    return sample_info(&info, &layout, &err) == TR_OK ? 0 : -1;
}

static inline int teardown(void **state) {
    (void)state;
    tr_run_info_free(&info);
    return folder_remove(NULL);
}

static inline struct tr_store *open_store(void) {
    struct tr_store *store;
    char *warnings;
    OK(tr_store_open(&store, out, &info, false, &warnings, &err));
    assert_null(warnings);
    return store;
}

static inline enum tr_status try_open(void) {
    struct tr_store *store = NULL;
    char *warnings = NULL;
    enum tr_status status = tr_store_open(&store, out, &info, false, &warnings, &err);
    if (status == TR_OK)
        tr_store_close(store);
    free(warnings);
    return status;
}

static inline void publish_steps(const int64_t *steps, int64_t count) {
    struct tr_store *store = open_store();
    for (int64_t i = 0; i < count; i++)
        OK(sample_commit(out, &info, steps[i], steps[i], &err));
    OK(tr_store_publish(store, NULL, &err));
    tr_store_close(store);
}

static inline int files_in(const char *path) {
    int count = 0;
    DIR *open_folder = opendir(path);
    if (!open_folder)
        return 0;
    for (struct dirent *entry; (entry = readdir(open_folder));)
        count += entry->d_name[0] != '.' || strlen(entry->d_name) > 5; // ".lock" is not counted
    closedir(open_folder);
    return count;
}

static inline bool same_row(const struct tr_row *a, const struct tr_row *b) {
    for (int id = 0; id < TR_VARIABLES; id++) {
        size_t bytes =
            (size_t)tr_variable_elements(id, &layout) * tr_value_size(tr_variables[id].type);
        bool same = tr_variables[id].type == TR_VALUE_STRING
                        ? !strcmp(tr_row_string(a, id), tr_row_string(b, id))
                        : !memcmp(a->data[id], b->data[id], bytes);
        if (!same)
            return false;
    }
    return true;
}

// Row `index` of OUT is what was committed for (checkpoint, step).
static inline void assert_row(const struct tr_trace *trace, int64_t index, int64_t checkpoint,
                              int64_t step) {
    struct tr_row read, expected;
    OK(tr_trace_row(trace, index, &read, &err));
    OK(sample_row(&expected, checkpoint, step, &layout, &err));
    assert_true(same_row(&read, &expected));
    tr_row_free(&read);
    tr_row_free(&expected);
}

static inline void assert_steps(const int64_t *steps, int64_t count) {
    struct tr_trace *trace;
    OK(tr_trace_open(&trace, out, &err));
    assert_int_equal(tr_trace_rows(trace), count);
    for (int64_t i = 0; i < count; i++)
        assert_row(trace, i, steps[i], steps[i]);
    tr_trace_close(trace);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
