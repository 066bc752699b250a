// SPDX-License-Identifier: Apache-2.0
// Stores that something else wrote, changed or damaged.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <hdf5.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tools/sample.h"
#include "base/file.h"
#include "folder.h"

enum { SEEDS = 300, SECONDS_AT_MOST = 20 };

static const struct tr_layout layout = {.layers = 2,
                                        .sequences = 3,
                                        .seq_len = 18,
                                        .nll = true,
                                        .span_tokens = 10,
                                        .probes = 4,
                                        .channels = 5};
static char out[FOLDER_PATH + 8];
static struct tr_run_info info;
static struct tr_err err;

static int setup(void **state) {
    (void)state;
    struct tr_store *store;
    char *warnings;
    if (folder_create(NULL))
        return -1;
    snprintf(out, sizeof out, "%s/t.h5", test_folder);
    TR_TRY(sample_info(&info, &layout, &err));
    TR_TRY(tr_store_open(&store, out, &info, false, &warnings, &err));
    for (int i = 0; i < 3; i++)
        TR_TRY(sample_commit(out, &info, i, i, &err));
    TR_TRY(tr_store_publish(store, NULL, &err));
    tr_store_close(store);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    tr_run_info_free(&info);
    return folder_remove(NULL);
}

static enum tr_status open_and_read(const char *path) {
    struct tr_trace *trace;
    TR_TRY(tr_trace_open(&trace, path, &err));
    enum tr_status status = TR_OK;
    for (int64_t i = 0; status == TR_OK && i < tr_trace_rows(trace); i++) {
        struct tr_row row;
        status = tr_trace_row(trace, i, &row, &err);
        if (status == TR_OK)
            tr_row_free(&row);
    }
    tr_trace_close(trace);
    return status;
}

static void set_number(const char *name, int64_t number) {
    hid_t file = H5Fopen(out, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, H5T_NATIVE_INT64, &number) >= 0);
    H5Aclose(attribute);
    H5Fclose(file);
}

static void test_newer_version(void **state) {
    (void)state;
    char expected[2 * FOLDER_PATH];
    set_number("schema_version", 2);
    snprintf(expected, sizeof expected, "%s has schema version 2, and this program knows version 1",
             out);
    assert_int_equal(open_and_read(out), TR_EUNSUPPORTED);
    assert_string_equal(err.text, expected);
}

// More span tokens than tokens, or fewer than those whose stream is kept.
static void test_span_tokens(void **state) {
    (void)state;
    static const int64_t numbers[] = {INT64_MAX, 55, 3, 0, -10};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char expected[2 * FOLDER_PATH];
        set_number("span_tokens", numbers[i]);
        snprintf(expected, sizeof expected,
                 "%s is damaged: it claims %lld span tokens, 4 probes and 5 channels", out,
                 (long long)numbers[i]);
        assert_int_equal(open_and_read(out), TR_EFORMAT);
        assert_string_equal(err.text, expected);
    }
    set_number("span_tokens", 54);
    assert_int_equal(open_and_read(out), TR_OK);
}

static void test_missing_variable(void **state) {
    (void)state;
    hid_t file = H5Fopen(out, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(H5Ldelete(file, "dd_seq", H5P_DEFAULT) >= 0);
    H5Fclose(file);
    struct tr_trace *trace;
    struct tr_row row;
    assert_int_equal(tr_trace_open(&trace, out, &err), TR_OK);
    assert_false(tr_trace_has(trace, TR_V_DD_SEQ));
    assert_int_equal(tr_trace_row(trace, 0, &row, &err), TR_OK);
    assert_true(isnan(tr_row_f64(&row, TR_V_DD_SEQ)[0]));
    tr_row_free(&row);
    tr_trace_close(trace);
}

static void test_wrong_shape(void **state) {
    (void)state;
    char expected[2 * FOLDER_PATH];
    hid_t file = H5Fopen(out, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "step", H5P_DEFAULT);
    hsize_t size = 7;
    assert_true(H5Dset_extent(dataset, &size) >= 0);
    H5Dclose(dataset);
    H5Fclose(file);
    snprintf(expected, sizeof expected, "%s is damaged: step does not fit the file's dimensions",
             out);
    assert_int_equal(open_and_read(out), TR_EFORMAT);
    assert_string_equal(err.text, expected);
}

// A chunk's checksum must notice every flipped bit of its data.
static void test_flipped_value(void **state) {
    (void)state;
    hsize_t at[] = {1, 0, 0, 0};
    haddr_t address;
    hsize_t size;
    uint32_t mask;
    hid_t file = H5Fopen(out, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "xx_seq", H5P_DEFAULT);
    assert_true(H5Dget_chunk_info_by_coord(dataset, at, &mask, &address, &size) >= 0);
    H5Dclose(dataset);
    H5Fclose(file);
    FILE *bytes = fopen(out, "r+b");
    fseek(bytes, (long)address + 11, SEEK_SET);
    int byte = fgetc(bytes);
    fseek(bytes, (long)address + 11, SEEK_SET);
    fputc(byte ^ 4, bytes);
    fclose(bytes);
    assert_int_equal(open_and_read(out), TR_EFORMAT);
    assert_non_null(strstr(err.text, "reading xx_seq of "));
}

// Random damage: an answer or a sentence, never a crash. Each seed in a process of its own. Spared
// are the global heaps, where strings are, and the references to them: HDF5 1.10.8 itself copies
// past the end of its buffers when those are damaged (H5HG_read), whatever its caller does.
struct spared {
    size_t first, end;
};

static int spare_heaps(const char *bytes, size_t size, struct spared *spared, int most) {
    int count = 0;
    for (size_t at = 0; at + 16 < size && count < most; at++) {
        if (memcmp(bytes + at, "GCOL", 4) != 0)
            continue;
        uint64_t length;
        memcpy(&length, bytes + at + 8, sizeof length);
        spared[count++] = (struct spared){at, at + length};
    }
    return count;
}

static int spare_references(struct spared *spared) {
    static const char *const names[] = {"module", "text", "ids_digest", NULL};
    int count = 0;
    hid_t file = H5Fopen(out, H5F_ACC_RDONLY, H5P_DEFAULT);
    for (int i = 0; names[i]; i++) {
        hid_t dataset = H5Dopen2(file, names[i], H5P_DEFAULT);
        size_t first = (size_t)H5Dget_offset(dataset);
        spared[count++] = (struct spared){first, first + (size_t)H5Dget_storage_size(dataset)};
        H5Dclose(dataset);
    }
    for (int id = 0; id < TR_VARIABLES; id++) {
        if (tr_variables[id].type != TR_VALUE_STRING)
            continue;
        hsize_t start = 0, size;
        haddr_t first;
        uint32_t mask;
        hid_t dataset = H5Dopen2(file, tr_variables[id].name, H5P_DEFAULT);
        assert_true(H5Dget_chunk_info_by_coord(dataset, &start, &mask, &first, &size) >= 0);
        spared[count++] = (struct spared){(size_t)first, (size_t)(first + size)};
        H5Dclose(dataset);
    }
    H5Fclose(file);
    return count;
}

enum { SPARED_MAX = 64 };

static bool is_spared(const struct spared *spared, int count, size_t at) {
    for (int i = 0; i < count; i++)
        if (at >= spared[i].first && at < spared[i].end)
            return true;
    return false;
}

static size_t pick(const struct spared *spared, int count, size_t size, unsigned *seed) {
    size_t at;
    do {
        at = (size_t)rand_r(seed) % size;
    } while (is_spared(spared, count, at));
    return at;
}

static bool survives(const char *path) {
    pid_t child = fork();
    if (!child) {
        static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
        for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
            signal(deadly[i], SIG_DFL); // cmocka's handlers would go on with the tests here
        alarm(SECONDS_AT_MOST);
        _exit(open_and_read(path) == TR_OK ? 0 : 1);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFEXITED(how) && WEXITSTATUS(how) <= 1;
}

static void test_random_damage(void **state) {
    (void)state;
    struct spared spared[SPARED_MAX];
    char path[2 * FOLDER_PATH], *bytes, *copy;
    size_t size;
    snprintf(path, sizeof path, "%s/damaged.h5", test_folder);
    assert_int_equal(tr_file_load(out, 1 << 24, &bytes, &size, &err), TR_OK);
    int count = spare_references(spared);
    count += spare_heaps(bytes, size, spared + count, SPARED_MAX - count);
    assert_true(count < SPARED_MAX);
    assert_non_null(copy = malloc(size));
    int crashes = 0;
    for (unsigned i = 0; i < SEEDS; i++) {
        unsigned seed = i;
        memcpy(copy, bytes, size);
        for (unsigned flips = 0; flips <= i % 8; flips++)
            copy[pick(spared, count, size, &seed)] ^= (char)(1 << flips);
        write_file(path, copy, size);
        if (!survives(path)) {
            crashes++;
            print_message("seed %u crashes\n", i);
        }
    }
    free(copy);
    free(bytes);
    assert_int_equal(crashes, 0);
}

#define DAMAGE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        DAMAGE_TEST(test_newer_version), DAMAGE_TEST(test_missing_variable),
        DAMAGE_TEST(test_wrong_shape),   DAMAGE_TEST(test_flipped_value),
        DAMAGE_TEST(test_random_damage), DAMAGE_TEST(test_span_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
