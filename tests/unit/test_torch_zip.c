// SPDX-License-Identifier: Apache-2.0
// The archive reader on archives made by hand: what it gives, and what it refuses with which words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "torch/torch_zip.h"
#include "zip_builder.h"

#define ALL_32 0xffffffff

static enum tr_status open_part(struct tr_zip *zip, int fd, uint64_t offset, uint64_t size,
                                struct tr_err *err) {
    struct tr_ends file;
    enum tr_status status = tr_ends_open(&file, fd, offset, size, "z", err);
    return status == TR_OK ? tr_zip_open(zip, &file, err) : status;
}

static enum tr_status open_zip(struct tr_zip *zip, const struct zip_builder *built,
                               struct tr_err *err) {
    int fd = memfd_create("zip", 0);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, built->bytes, built->size), built->size);
    enum tr_status status = open_part(zip, fd, 0, built->size, err);
    close(fd);
    return status;
}

// Local headers at 0 (data at 40) and 43 (data at 81), directory at 89, records at 199, 255, 275.
static void build(struct zip_builder *built) {
    *built = (struct zip_builder){0};
    zip_add(built, "s/data.pkl", "PKL", 3);
    zip_add(built, "s/data/0", "01234567", 8);
    zip_finish(built);
}

static void assert_good(const struct zip_builder *built) {
    struct tr_zip zip;
    struct tr_err err = {.text = ""};
    if (open_zip(&zip, built, &err))
        fail_msg("%s", err.text);
    assert_int_equal(zip.count, 2);
    const struct tr_zip_entry *pickle = tr_zip_find(&zip, "s/data.pkl");
    assert_non_null(pickle);
    assert_int_equal(pickle->offset, 40);
    assert_int_equal(pickle->size, 3);
    const struct tr_zip_entry *storage = tr_zip_find(&zip, "s/data/0");
    assert_non_null(storage);
    assert_int_equal(storage->offset, 81);
    assert_int_equal(storage->size, 8);
    assert_null(tr_zip_find(&zip, "s/data"));
    assert_int_equal(zip.directory_size, 110);
    assert_memory_equal(zip.directory, built->bytes + built->directory, 110);
    tr_zip_close(&zip);
}

static void test_entries(void **state) {
    (void)state;
    struct zip_builder built;
    build(&built);
    assert_good(&built);
    // without the ZIP64 record, as other programs write it
    memmove(built.bytes + built.end64, built.bytes + built.end, 22);
    built.size = built.end64 + 22;
    assert_good(&built);
    // what the plain record leaves to the ZIP64 one
    build(&built);
    zip_put(&built, built.end + 8, 4, ALL_32);
    zip_put(&built, built.end + 12, 8, UINT64_MAX);
    assert_good(&built);
    // local headers may know the sizes
    build(&built);
    zip_put(&built, 18, 4, 3);
    zip_put(&built, 22, 4, ALL_32);
    assert_good(&built);
}

// Several archives in one file, each found in its own stretch of it and in no other.
static void test_a_part_of_a_file(void **state) {
    (void)state;
    enum { BEFORE = 1000, ARCHIVES = 3 };
    static char padding[BEFORE];
    struct zip_builder built;
    struct tr_err err = {.text = ""};
    build(&built);
    int fd = memfd_create("zips", 0);
    assert_int_equal(write(fd, padding, BEFORE), BEFORE);
    for (int i = 0; i < ARCHIVES; i++)
        assert_int_equal(write(fd, built.bytes, built.size), built.size);
    for (uint64_t at = BEFORE; at < BEFORE + ARCHIVES * built.size; at += built.size) {
        struct tr_zip zip;
        char bytes[8];
        if (open_part(&zip, fd, at, built.size, &err))
            fail_msg("%s", err.text);
        const struct tr_zip_entry *storage = tr_zip_find(&zip, "s/data/0");
        assert_non_null(storage);
        assert_int_equal(storage->header, at + 43);
        assert_int_equal(storage->offset, at + 81);
        assert_int_equal(pread(fd, bytes, 8, (off_t)storage->offset), 8);
        assert_memory_equal(bytes, "01234567", 8);
        tr_zip_close(&zip);
    }
    struct tr_zip zip;
    assert_int_equal(open_part(&zip, fd, BEFORE, built.size - 1, &err), TR_EFORMAT);
    assert_int_equal(open_part(&zip, fd, BEFORE + 1, built.size, &err), TR_EFORMAT);
    assert_int_equal(open_part(&zip, fd, BEFORE, 2 * built.size, &err), TR_EFORMAT);
    assert_int_equal(open_part(&zip, fd, BEFORE + 1, built.size - 1, &err), TR_EFORMAT);
    assert_int_equal(open_part(&zip, fd, BEFORE, 0, &err), TR_EFORMAT);
    close(fd);
}

static void test_no_entries(void **state) {
    (void)state;
    struct zip_builder built = {0};
    struct tr_zip zip;
    struct tr_err err;
    zip_finish(&built);
    assert_int_equal(open_zip(&zip, &built, &err), TR_OK);
    assert_int_equal(zip.count, 0);
    assert_null(tr_zip_find(&zip, "s/data.pkl"));
    tr_zip_close(&zip);
}

// One entry whose sizes and place stand in an extra field of the directory, behind another field.
static void build_zip64(struct zip_builder *built, uint64_t extra_size) {
    *built = (struct zip_builder){0};
    zip_add(built, "s/data/0", "01234567", 8);
    built->directory = built->size;
    zip_add_central(built, 0);
    size_t at = built->entries[0].central;
    zip_put(built, at + 20, 8, UINT64_MAX);
    zip_put(built, at + 42, 4, ALL_32);
    zip_put(built, at + 30, 2, extra_size);
    zip_append(built, "FB\2\0zz\1\0\30\0", 10);
    size_t sizes = zip_append(built, NULL, 24);
    zip_put(built, sizes, 8, 8);
    zip_put(built, sizes + 8, 8, 8);
    size_t end = zip_append(built, "PK\5\6", 4);
    zip_append(built, NULL, 18);
    zip_put(built, end + 8, 2, 1);
    zip_put(built, end + 10, 2, 1);
    zip_put(built, end + 12, 4, end - built->directory);
    zip_put(built, end + 16, 4, built->directory);
}

static void test_zip64_sizes(void **state) {
    (void)state;
    struct zip_builder built;
    struct tr_zip zip;
    struct tr_err err = {.text = ""};
    build_zip64(&built, 34);
    if (open_zip(&zip, &built, &err))
        fail_msg("%s", err.text);
    assert_int_equal(zip.entries[0].size, 8);
    assert_int_equal(zip.entries[0].header, 0);
    assert_int_equal(zip.entries[0].offset, 38);
    tr_zip_close(&zip);
    zip_put(&built, built.directory + 54 + 8, 2, 16); // the field lacks the place
    assert_int_equal(open_zip(&zip, &built, &err), TR_EFORMAT);
    assert_string_equal(err.text, "z: the extra fields of its entry s/data/0 are damaged");
    zip_put(&built, built.directory + 54 + 8, 2, 25); // the field is longer than the fields are
    assert_int_equal(open_zip(&zip, &built, &err), TR_EFORMAT);
    assert_string_equal(err.text, "z: the extra fields of its entry s/data/0 are damaged");
    zip_put(&built, built.directory + 54 + 6, 2, 7); // there is no such field
    assert_int_equal(open_zip(&zip, &built, &err), TR_EFORMAT);
    assert_string_equal(err.text, "z: the extra fields of its entry s/data/0 are damaged");
    build_zip64(&built, 34);
    zip_put(&built, built.directory + 54 + 10, 8, UINT64_MAX); // sizes that overflow
    zip_put(&built, built.directory + 54 + 18, 8, UINT64_MAX);
    assert_int_equal(open_zip(&zip, &built, &err), TR_EFORMAT);
    assert_string_equal(err.text, "z: its entry s/data/0 (18446744073709551615 bytes at 38) does "
                                  "not fit into the 46 before the directory");
    build_zip64(&built, 34);
    zip_put(&built, built.directory + 54 + 26, 8, UINT64_MAX - 8); // a place that overflows
    assert_int_equal(open_zip(&zip, &built, &err), TR_EFORMAT);
    assert_string_equal(err.text,
                        "z: its entry s/data/0 begins at 18446744073709551607, outside the file");
}

// A field of the archive that is overwritten; `place` as given below.
enum place { NOWHERE, LOCAL, SECOND_LOCAL, CENTRAL, SECOND_CENTRAL, END64, LOCATOR, END };
struct patch {
    enum place place;
    size_t at;
    int width;
    uint64_t value;
};

static size_t offset_of(const struct zip_builder *built, enum place place) {
    const size_t offsets[] = {[LOCAL] = built->entries[0].local,
                              [SECOND_LOCAL] = built->entries[1].local,
                              [CENTRAL] = built->entries[0].central,
                              [SECOND_CENTRAL] = built->entries[1].central,
                              [END64] = built->end64,
                              [LOCATOR] = built->locator,
                              [END] = built->end};
    return offsets[place];
}

static void assert_refused(const struct zip_builder *built, enum tr_status code,
                           const char *expected) {
    struct tr_zip zip;
    struct tr_err err = {.text = "accepted"};
    enum tr_status status = open_zip(&zip, built, &err);
    assert_string_equal(err.text, expected);
    assert_int_equal(status, code);
}

#define CONTRADICT "z: its two records of the directory contradict each other"
#define SEVERAL "z is one part of a ZIP archive in several"
#define NOT_THE_SAME "z: the header of its entry s/data.pkl is not what the directory says"

static void test_lies(void **state) {
    (void)state;
    static const struct {
        struct patch patches[4];
        enum tr_status code;
        const char *expected;
    } cases[] = {
        // the records of the directory
        {{{END, 0, 1, 'Q'}},
         TR_EFORMAT,
         "z does not end with the directory of a ZIP archive: it is truncated, or followed by "
         "something else"},
        {{{END, 20, 2, 4}},
         TR_EFORMAT,
         "z does not end with the directory of a ZIP archive: it is truncated, or followed by "
         "something else"},
        {{{END, 4, 2, 1}}, TR_EUNSUPPORTED, SEVERAL},
        {{{END, 8, 2, 1}}, TR_EUNSUPPORTED, SEVERAL},
        {{{END64, 20, 4, 1}}, TR_EUNSUPPORTED, SEVERAL},
        {{{END64, 24, 8, 9}}, TR_EUNSUPPORTED, SEVERAL},
        {{{END64, 32, 8, 3}}, TR_EFORMAT, CONTRADICT},
        {{{END64, 40, 8, 3}}, TR_EFORMAT, CONTRADICT},
        {{{END64, 48, 8, 3}}, TR_EFORMAT, CONTRADICT},
        {{{END64, 0, 1, 'Q'}}, TR_EFORMAT, "z: its locator does not lead to a ZIP64 record"},
        {{{END64, 4, 8, 45}}, TR_EFORMAT, "z: its locator does not lead to a ZIP64 record"},
        {{{LOCATOR, 8, 8, 198}}, TR_EFORMAT, "z: its ZIP64 record is not right before its locator"},
        {{{LOCATOR, 8, 8, UINT64_MAX}},
         TR_EFORMAT,
         "z: its ZIP64 record is not right before its locator"},
        {{{LOCATOR, 0, 1, 'Q'}},
         TR_EFORMAT,
         "z: its directory (110 bytes at 89) does not end at 275, where its record is"},
        {{{END, 12, 4, ALL_32}, {END64, 40, 8, UINT64_MAX}},
         TR_EFORMAT,
         "z: its directory (18446744073709551615 bytes at 89) does not end at 199, where its "
         "record is"},
        {{{END, 12, 4, ALL_32}, {END64, 40, 8, 109}},
         TR_EFORMAT,
         "z: its directory (109 bytes at 89) does not end at 199, where its record is"},
        {{{END, 12, 8, UINT64_MAX}, {END64, 40, 8, 200}, {END64, 48, 8, UINT64_MAX}},
         TR_EFORMAT,
         "z: its directory (200 bytes at 18446744073709551615) does not end at 199, where its "
         "record is"},
        {{{END, 8, 4, ALL_32}, {END64, 24, 8, 3000000000}, {END64, 32, 8, 3000000000}},
         TR_EFORMAT,
         "z claims 3000000000 entries in a directory of 110 bytes"},
        {{{END, 8, 4, 0x10001}, {END64, 24, 8, 1}, {END64, 32, 8, 1}},
         TR_EFORMAT,
         "z: its directory goes on after its last entry"},
        // the directory
        {{{CENTRAL, 0, 1, 'Q'}}, TR_EFORMAT, "z: there is no entry at byte 0 of its directory"},
        {{{SECOND_CENTRAL, 28, 2, 9}},
         TR_EFORMAT,
         "z: the entry at byte 56 of its directory is cut off"},
        {{{CENTRAL, 30, 2, 65535}},
         TR_EFORMAT,
         "z: the entry at byte 0 of its directory is cut off"},
        {{{CENTRAL, 48, 1, 0}}, TR_EFORMAT, "z: an entry's name is empty or has a 0 in it"},
        {{{CENTRAL, 10, 2, 8}},
         TR_EUNSUPPORTED,
         "z: its entry s/data.pkl is compressed (method 8); torch.save stores entries as they are"},
        {{{CENTRAL, 8, 2, 0x0809}}, TR_EUNSUPPORTED, "z: its entry s/data.pkl is encrypted"},
        {{{CENTRAL, 8, 2, 0x0848}}, TR_EUNSUPPORTED, "z: its entry s/data.pkl is encrypted"},
        {{{CENTRAL, 8, 2, 0x2808}}, TR_EUNSUPPORTED, "z: its entry s/data.pkl is encrypted"},
        {{{CENTRAL, 34, 2, 1}}, TR_EUNSUPPORTED, SEVERAL},
        {{{CENTRAL, 20, 4, 2}}, TR_EFORMAT, "z: its entry s/data.pkl has 3 bytes, 2 when stored"},
        {{{CENTRAL, 24, 4, ALL_32}},
         TR_EFORMAT,
         "z: the extra fields of its entry s/data.pkl are damaged"},
        // the entries
        {{{CENTRAL, 42, 4, 1}}, TR_EFORMAT, NOT_THE_SAME},
        {{{CENTRAL, 42, 4, 50}},
         TR_EFORMAT,
         "z: its entry s/data.pkl begins at 50, outside the file"},
        {{{LOCAL, 0, 1, 'Q'}}, TR_EFORMAT, NOT_THE_SAME},
        {{{LOCAL, 8, 2, 8}}, TR_EFORMAT, NOT_THE_SAME},
        {{{LOCAL, 6, 2, 0x0809}}, TR_EFORMAT, NOT_THE_SAME},
        {{{LOCAL, 6, 2, 0x0800}}, TR_EFORMAT, NOT_THE_SAME},
        {{{LOCAL, 18, 4, 4}}, TR_EFORMAT, NOT_THE_SAME},
        {{{LOCAL, 22, 4, 4}}, TR_EFORMAT, NOT_THE_SAME},
        {{{LOCAL, 26, 2, 9}}, TR_EFORMAT, NOT_THE_SAME},
        {{{LOCAL, 31, 1, '-'}}, TR_EFORMAT, NOT_THE_SAME},
        {{{LOCAL, 28, 2, 1}}, TR_EFORMAT, "z: its entries s/data.pkl and s/data/0 overlap"},
        {{{CENTRAL, 20, 4, 4}, {CENTRAL, 24, 4, 4}},
         TR_EFORMAT,
         "z: its entries s/data.pkl and s/data/0 overlap"},
        {{{CENTRAL, 20, 4, 50}, {CENTRAL, 24, 4, 50}},
         TR_EFORMAT,
         "z: its entry s/data.pkl (50 bytes at 40) does not fit into the 89 before the directory"},
        {{{SECOND_CENTRAL, 20, 4, 9}, {SECOND_CENTRAL, 24, 4, 9}},
         TR_EFORMAT,
         "z: its entry s/data/0 (9 bytes at 81) does not fit into the 89 before the directory"},
        {{{SECOND_LOCAL, 28, 2, 65535}},
         TR_EFORMAT,
         "z: its entry s/data/0 (8 bytes at 65616) does not fit into the 89 before the directory"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct zip_builder built;
        build(&built);
        for (const struct patch *patch = cases[i].patches; patch->place; patch++)
            zip_put(&built, offset_of(&built, patch->place) + patch->at, patch->width,
                    patch->value);
        assert_refused(&built, cases[i].code, cases[i].expected);
    }
}

static void test_same_names(void **state) {
    (void)state;
    struct zip_builder built = {0};
    zip_add(&built, "s/data/0", "0", 1);
    zip_add(&built, "s/data/0", "1", 1);
    zip_finish(&built);
    assert_refused(&built, TR_EFORMAT, "z has two entries s/data/0");
    zip_put(&built, built.entries[1].central + 42, 4, 0); // two entries are one
    assert_refused(&built, TR_EFORMAT, "z: its entries s/data/0 and s/data/0 overlap");
}

static void test_a_name_beyond_reason(void **state) {
    (void)state;
    struct zip_builder built = {0};
    char name[301] = {0};
    zip_add(&built, memset(name, 'n', 300), "0", 1);
    zip_finish(&built);
    assert_refused(&built, TR_EUNSUPPORTED, "z: the name of an entry has 300 bytes");
}

static void test_a_directory_beyond_reason(void **state) {
    (void)state;
    struct zip_builder built;
    struct tr_zip zip;
    struct tr_err err = {.text = "accepted"};
    const uint64_t size = 200000000, end64 = 89 + size;
    build(&built);
    zip_put(&built, built.end + 12, 4, size);
    zip_put(&built, built.end64 + 40, 8, size);
    zip_put(&built, built.locator + 8, 8, end64);
    int fd = memfd_create("zip", 0); // sparse
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, built.bytes + built.end64, 98, (off_t)end64), 98);
    assert_int_equal(open_part(&zip, fd, 0, end64 + 98, &err), TR_EFORMAT);
    close(fd);
    assert_string_equal(
        err.text, "z claims a directory of 200000000 bytes, more than the 100000000 accepted");
}

// Every archive that was cut off is refused, at whatever byte.
static void test_truncation(void **state) {
    (void)state;
    struct zip_builder built;
    build(&built);
    for (size_t size = built.size; size-- > 0;) {
        struct zip_builder cut = built;
        cut.size = size;
        assert_refused(&cut, TR_EFORMAT,
                       "z does not end with the directory of a ZIP archive: it is truncated, or "
                       "followed by something else");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_a_part_of_a_file),
        cmocka_unit_test(test_no_entries),
        cmocka_unit_test(test_zip64_sizes),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_same_names),
        cmocka_unit_test(test_a_name_beyond_reason),
        cmocka_unit_test(test_a_directory_beyond_reason),
        cmocka_unit_test(test_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
