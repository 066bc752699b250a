// SPDX-License-Identifier: Apache-2.0
// Files of torch.save before 1.6: streams of pickles made here, whole, damaged and hostile.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"
#include "torch/torch_legacy.h"

// Pieces of pickles. A count is a string of one byte.
#define PROTO "\x80\2"
#define TEXT(count, text) "X" count "\0\0\0" text
#define GLOBAL(module, name) "c" module "\n" name "\n"
#define HOOKS GLOBAL("collections", "OrderedDict") ")R"
#define MAGIC PROTO "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
#define VERSION PROTO "M\xe9\x03."
#define SYSTEM PROTO "}" TEXT("\x0d", "little_endian") "\x88s."
#define START MAGIC VERSION SYSTEM
#define ID(type, key, count, view)                                                                 \
    "(" TEXT("\7", "storage") GLOBAL("torch", type) TEXT("\1", key) TEXT("\3", "cpu") count view   \
        "tQ"
#define VIEW(key, first, count) TEXT("\1", key) first count "\x87"
#define TENSOR(id)                                                                                 \
    GLOBAL("torch._utils", "_rebuild_tensor_v2")                                                   \
    "(" id "K\1K\2\x85K\1\x85\x89" HOOKS "tR" // elements 1 and 2
#define OLD_TENSOR(id) GLOBAL("torch._utils", "_rebuild_tensor") "(" id "K\1K\2\x85K\1\x85tR"
#define ITEM(name, tensor) TEXT("\1", name) tensor
#define VALUE(items) PROTO "}(" items "u."
#define KEYS(keys) PROTO "](" keys "e."
#define COUNT(count) count "\0\0\0\0\0\0\0"

struct bytes {
    const char *bytes;
    size_t size;
};
#define BYTES(text)                                                                                \
    { .bytes = (text), .size = sizeof(text) - 1 }

// A float storage "a" of 3 elements and a half storage "b" of 4.
#define A ID("FloatStorage", "a", "K\3", "N")
#define B ID("HalfStorage", "b", "K\4", "N")
#define A_DATA COUNT("\3") "AAAABBBBCCCC"
#define B_DATA COUNT("\4") "aabbccdd"
#define GOOD                                                                                       \
    START VALUE(ITEM("x", TENSOR(A)) ITEM("y", TENSOR(B))) KEYS(TEXT("\1", "b") TEXT("\1", "a"))   \
        B_DATA A_DATA

static enum tr_status open_bytes(struct tr_legacy *legacy, struct bytes from, struct tr_err *err) {
    char *path = in_folder("stream");
    write_file(path, from.bytes, from.size);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    enum tr_status status = tr_legacy_open(legacy, fd, from.size, "p", err);
    close(fd);
    return status;
}

static void assert_storage(const struct tr_legacy *legacy, const char *key, const char *whole,
                           size_t size, const char *expected) {
    const struct tr_slice slice = {.bytes = key, .size = strlen(key)};
    const struct tr_legacy_storage *found = tr_legacy_find(legacy, slice);
    assert_non_null(found);
    assert_true(found->offset + strlen(expected) <= size);
    assert_memory_equal(whole + found->offset, expected, strlen(expected));
}

static void storages_are_found(void **state) {
    (void)state;
    static const char good[] = GOOD;
    struct tr_legacy legacy;
    struct tr_err err = {.text = ""};
    assert_true(tr_is_legacy(good, sizeof good - 1));
    assert_false(tr_is_legacy(good, 14));
    if (open_bytes(&legacy, (struct bytes)BYTES(GOOD), &err))
        fail_msg("%s", err.text);
    assert_int_equal(legacy.count, 2);
    assert_int_equal(legacy.root->kind, TR_VALUE_DICT);
    assert_storage(&legacy, "a", good, sizeof good - 1, "AAAABBBBCCCC");
    assert_storage(&legacy, "b", good, sizeof good - 1, "aabbccdd");
    assert_null(tr_legacy_find(&legacy, (struct tr_slice){.bytes = "c", .size = 1}));
    tr_legacy_close(&legacy);
}

// A view is a part of a storage; a tensor lies in the part and is placed in the whole.
static void views_lie_in_their_storage(void **state) {
    (void)state;
    static const struct {
        struct bytes bytes;
        int64_t offset;
    } cases[] = {
        {BYTES(
             START VALUE(ITEM("x", TENSOR(ID("FloatStorage", "a", "K\5", VIEW("v", "K\2", "K\3")))))
                 KEYS(TEXT("\1", "a")) COUNT("\5") "AAAABBBBCCCCDDDDEEEE"),
         3},
        {BYTES(START VALUE(ITEM("x", OLD_TENSOR(A))) KEYS(TEXT("\1", "a")) A_DATA), 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_legacy legacy;
        struct tr_err err = {.text = ""};
        if (open_bytes(&legacy, cases[i].bytes, &err))
            fail_msg("%s", err.text);
        const struct tr_value *tensor = legacy.root->sequence.items[1];
        assert_int_equal(tensor->kind, TR_VALUE_TENSOR);
        assert_int_equal(tensor->tensor.offset, cases[i].offset);
        assert_int_equal(tensor->tensor.storage->kind, TR_VALUE_STORAGE);
        tr_legacy_close(&legacy);
    }
}

#define VIEWED(view) START VALUE(ITEM("x", TENSOR(ID("FloatStorage", "a", "K\5", view))))

static void what_is_wrong_is_refused(void **state) {
    (void)state;
    static const struct {
        struct bytes bytes;
        const char *expected;
    } cases[] = {
        {BYTES(MAGIC PROTO "M\xe8\x03." SYSTEM),
         "p is of an unknown version of torch.save's stream"},
        {BYTES(MAGIC PROTO "N." SYSTEM), "p is of an unknown version of torch.save's stream"},
        {BYTES(MAGIC VERSION PROTO "}" TEXT("\x0d", "little_endian") "\x89s."),
         "p is not little-endian"},
        {BYTES(MAGIC VERSION PROTO "}."), "p is not little-endian"},
        {BYTES(MAGIC VERSION PROTO "N."), "p is not little-endian"},
        {BYTES(START PROTO "(U\2lsios\nsystem\n."),
         "p: the pickle's INST at byte 7: an opcode that a state dict does not need"},
        {BYTES(START VALUE(ITEM("x", TENSOR(A))) PROTO "}."),
         "p: its pickles end in a dict, not in a list of keys"},
        {BYTES(START VALUE(ITEM("x", TENSOR(A))) KEYS("K\1") A_DATA),
         "p: its pickles end in a list, not in a list of keys"},
        {BYTES(START VALUE(ITEM("x", TENSOR(A))) KEYS(TEXT("\1", "c")) A_DATA),
         "p: its list of storages has c, which no tensor is of"},
        {BYTES(START VALUE(ITEM("x", TENSOR(A))) KEYS(TEXT("\1", "a") TEXT("\1", "a"))
                   A_DATA A_DATA),
         "p: its list of storages has a twice"},
        {BYTES(START VALUE(ITEM("x", TENSOR(A))) KEYS(TEXT("\1", "a")) COUNT("\2") "AAAABBBBCCCC"),
         "p: storage a has 2 elements, its tensors say 3"},
        {BYTES(START VALUE(ITEM("x", TENSOR(A))) KEYS(TEXT("\1", "a")) A_DATA "x"),
         "p: its storages end at byte "},
        {BYTES(START VALUE(ITEM("x", TENSOR(A)) ITEM(
             "y", TENSOR(ID("HalfStorage", "a", "K\3", "N")))) KEYS(TEXT("\1", "a")) A_DATA),
         "p has two kinds of storage a"},
        {BYTES(START VALUE(ITEM("x", TENSOR(A)) ITEM(
             "y", TENSOR(ID("FloatStorage", "a", "K\4", "N")))) KEYS(TEXT("\1", "a")) A_DATA),
         "p has two kinds of storage a"},
        {BYTES(VIEWED(VIEW("v", "K\2", "K\4"))), "a view reaches beyond its storage"},
        {BYTES(VIEWED(VIEW("v", "K\6", "K\0"))), "a view reaches beyond its storage"},
        {BYTES(VIEWED(VIEW("v", "J\xff\xff\xff\xff", "K\3"))), "a view reaches beyond its storage"},
        {BYTES(VIEWED(VIEW("v", "K\2", "K\2"))), "a tensor reaches beyond its storage"},
        {BYTES(VIEWED("K\1")),
         "a view of a storage is its key, its first element and how many it has"},
        {BYTES(VIEWED("(t")),
         "a view of a storage is its key, its first element and how many it has"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_legacy legacy;
        struct tr_err err = {.text = "accepted"};
        assert_int_not_equal(open_bytes(&legacy, cases[i].bytes, &err), TR_OK);
        if (!strstr(err.text, cases[i].expected))
            fail_msg("%zu: %s", i, err.text);
    }
}

// Nothing marks the end of such a file but its sizes.
static void every_truncation_shows(void **state) {
    (void)state;
    static const char good[] = GOOD;
    for (size_t size = 15; size < sizeof good - 1; size++) {
        struct tr_legacy legacy;
        struct tr_err err;
        assert_int_not_equal(open_bytes(&legacy, (struct bytes){good, size}, &err), TR_OK);
    }
}

// Pickles larger than the first look at the file.
static void long_pickles_are_read(void **state) {
    (void)state;
    enum { TENSORS = 20000 };
    static const char item[] = TEXT("\x06", "%06d") TENSOR(A); // the name is put in below
    static const char start[] = START PROTO "}(", middle[] = "u." KEYS(TEXT("\1", "a")) A_DATA;
    size_t each = sizeof item - 1 - 4 + 6, at = sizeof start - 1;
    char *bytes = malloc(sizeof start + TENSORS * each + sizeof middle), name[8];
    assert_non_null(bytes);
    memcpy(bytes, start, at);
    for (int i = 0; i < TENSORS; i++) {
        snprintf(name, sizeof name, "%06d", i);
        memcpy(bytes + at, item, 5);
        memcpy(bytes + at + 5, name, 6);
        memcpy(bytes + at + 11, item + 9, sizeof item - 1 - 9);
        at += each;
    }
    memcpy(bytes + at, middle, sizeof middle - 1);
    at += sizeof middle - 1;
    assert_true(at > 2 << 20);
    struct tr_legacy legacy;
    struct tr_err err = {.text = ""};
    if (open_bytes(&legacy, (struct bytes){bytes, at}, &err))
        fail_msg("%s", err.text);
    assert_int_equal(legacy.root->sequence.count, 2 * TENSORS);
    assert_int_equal(legacy.count, 1);
    tr_legacy_close(&legacy);
    assert_int_not_equal(open_bytes(&legacy, (struct bytes){bytes, at - 1}, &err), TR_OK);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storages_are_found),       cmocka_unit_test(views_lie_in_their_storage),
        cmocka_unit_test(what_is_wrong_is_refused), cmocka_unit_test(every_truncation_shows),
        cmocka_unit_test(long_pickles_are_read),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
