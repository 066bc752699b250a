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

static bool other_values; // what was read is not the sample's

static bool is_sample(const struct tr_row *row, int64_t index) {
    struct tr_row sample;
    bool same = sample_row(&sample, index, index, &layout, NULL) == TR_OK;
    for (int id = 0; same && id < TR_VARIABLES; id++) {
        size_t size =
            (size_t)tr_variable_elements(id, &layout) * tr_value_size(tr_variables[id].type);
        if (row->data[id])
            same = tr_variables[id].type == TR_VALUE_STRING
                       ? !strcmp(tr_row_string(row, id), tr_row_string(&sample, id))
                       : !memcmp(row->data[id], sample.data[id], size);
    }
    tr_row_free(&sample);
    return same;
}

static enum tr_status open_and_read(const char *path) {
    struct tr_trace *trace;
    TR_TRY(tr_trace_open(&trace, path, &err));
    enum tr_status status = TR_OK;
    for (int64_t i = 0; status == TR_OK && i < tr_trace_rows(trace); i++) {
        struct tr_row row;
        status = tr_trace_row(trace, i, &row, &err);
        if (status == TR_OK) {
            if (!is_sample(&row, i))
                other_values = true;
            tr_row_free(&row);
        }
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
        snprintf(
            expected, sizeof expected,
            "%s was changed by another program since it was traced: it claims %lld span tokens, 4 "
            "probes and 5 channels; the file that trace-ckpts wrote is needed",
            out, (long long)numbers[i]);
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
    assert_int_equal(tr_trace_check_whole(trace, &err), TR_EFORMAT);
    tr_trace_close(trace);

    struct tr_store *store;
    char *warnings = NULL;
    assert_int_equal(tr_store_open(&store, out, &info, false, &warnings, &err), TR_EFORMAT);
    assert_non_null(strstr(err.text, "since it was traced: dd_seq is missing"));
    free(warnings);
}

static void test_wrong_shape(void **state) {
    (void)state;
    char expected[2 * FOLDER_PATH];
    hid_t file = H5Fopen(out, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "step", H5P_DEFAULT);
    hsize_t size = 1;
    assert_true(H5Dset_extent(dataset, &size) >= 0);
    H5Dclose(dataset);
    H5Fclose(file);
    snprintf(expected, sizeof expected,
             "%s was changed by another program since it was traced: step does not fit the file's "
             "dimensions; the file that trace-ckpts wrote is needed",
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
    assert_int_equal(sample_unseal(out), 0); // which would notice it first
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

// Random damage, each seed in a process of its own. With its seal a damaged file is refused
// whatever was hit, the strings' heaps included, over which HDF5 1.10.8 itself crashes. Without one
// it may pass, for then it is also what another program made of it, but not with other values.
enum outcome { SAME = 0, REFUSED = 1, OTHER_VALUES = 2, CRASHED = 3 };

static enum outcome outcome_of(const char *path) {
    pid_t child = fork();
    if (!child) {
        static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
        for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
            signal(deadly[i], SIG_DFL); // cmocka's handlers would go on with the tests here
        alarm(SECONDS_AT_MOST);
        other_values = false;
        enum tr_status status = open_and_read(path);
        _exit(status != TR_OK ? REFUSED : other_values ? OTHER_VALUES : SAME);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFEXITED(how) && WEXITSTATUS(how) < CRASHED ? (enum outcome)WEXITSTATUS(how) : CRASHED;
}

static void damage(int seeds, int count[CRASHED + 1]) {
    char path[2 * FOLDER_PATH], *bytes, *copy;
    size_t size;
    snprintf(path, sizeof path, "%s/damaged.h5", test_folder);
    assert_int_equal(tr_file_load(out, 1 << 24, &bytes, &size, &err), TR_OK);
    assert_non_null(copy = malloc(size));
    for (int i = 0; i < seeds; i++) {
        unsigned seed = (unsigned)i;
        memcpy(copy, bytes, size);
        for (unsigned flips = 0; flips <= seed % 8; flips++)
            copy[(size_t)rand_r(&seed) % size] ^= (char)(1 << flips);
        write_file(path, copy, size);
        enum outcome outcome = outcome_of(path);
        count[outcome]++;
        if (outcome > REFUSED)
            print_message("seed %d: %s\n", i, outcome == CRASHED ? "crashed" : "other values");
    }
    free(copy);
    free(bytes);
}

static void test_damage_under_seal(void **state) {
    (void)state;
    int count[CRASHED + 1] = {0};
    damage(SEEDS, count);
    assert_int_equal(count[REFUSED], SEEDS);
}

static void test_damage_without_seal(void **state) {
    (void)state;
    int count[CRASHED + 1] = {0};
    assert_int_equal(sample_unseal(out), 0);
    damage(SEEDS / 3, count);
    assert_int_equal(count[CRASHED] + count[OTHER_VALUES], 0);
    assert_true(count[REFUSED] > 0);
}

// ---- values in other files -------------------------------------------------------------------

static void refuses(hid_t file, const char *how) {
    char expected[2 * FOLDER_PATH];
    assert_true(H5Fclose(file) >= 0);
    snprintf(expected, sizeof expected, "%s is refused: %s", out, how);
    assert_int_equal(open_and_read(out), TR_EUNSUPPORTED);
    assert_string_equal(err.text, expected);
}

static hid_t without_dd_seq(void) {
    hid_t file = H5Fopen(out, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(H5Ldelete(file, "dd_seq", H5P_DEFAULT) >= 0);
    return file;
}

static void test_links(void **state) {
    (void)state;
    hid_t file = without_dd_seq();
    assert_true(H5Lcreate_soft("/xx_seq", file, "dd_seq", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    refuses(file, "dd_seq is a link to another name");
    file = without_dd_seq();
    assert_true(
        H5Lcreate_external("/etc/other.h5", "/x", file, "dd_seq", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    refuses(file, "dd_seq is a link to another file");
}

static void make_dd_seq(hid_t file, hid_t properties) {
    static const hsize_t size[] = {3, 2, 3, 3};
    hid_t space = H5Screate_simple(4, size, NULL);
    hid_t dataset =
        H5Dcreate2(file, "dd_seq", H5T_IEEE_F64LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    assert_true(dataset >= 0 && H5Dclose(dataset) >= 0);
    H5Sclose(space);
    H5Pclose(properties);
}

static void test_other_files(void **state) {
    (void)state;
    static const hsize_t size[] = {3, 2, 3, 3};
    hid_t file = without_dd_seq(), properties = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_external(properties, "/etc/passwd", 0, 3 * 2 * 3 * 3 * 8) >= 0);
    make_dd_seq(file, properties);
    refuses(file, "the values of dd_seq are in other files (external storage)");
    file = without_dd_seq();
    properties = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(4, size, NULL);
    assert_true(H5Pset_virtual(properties, space, "/etc/other.h5", "x", space) >= 0);
    make_dd_seq(file, properties);
    H5Sclose(space);
    refuses(file, "the values of dd_seq are in other files (a virtual dataset)");
}

#define DAMAGE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        DAMAGE_TEST(test_newer_version),     DAMAGE_TEST(test_missing_variable),
        DAMAGE_TEST(test_wrong_shape),       DAMAGE_TEST(test_flipped_value),
        DAMAGE_TEST(test_damage_under_seal), DAMAGE_TEST(test_damage_without_seal),
        DAMAGE_TEST(test_span_tokens),       DAMAGE_TEST(test_links),
        DAMAGE_TEST(test_other_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
