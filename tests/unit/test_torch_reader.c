// SPDX-License-Identifier: Apache-2.0
// Checkpoints of torch.save: stored ones against the same tensors in safetensors, and archives made
// here that are whole but hold the wrong thing.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ckpt/checkpoint.h"
#include "folder.h"
#include "zip_builder.h"

#define GOLDEN "tests/golden/torch_bin/"

static struct tr_checkpoint *open_good(const char *folder) {
    struct tr_checkpoint *checkpoint;
    struct tr_err err = {.text = ""};
    if (tr_checkpoint_open(&checkpoint, folder, &err))
        fail_msg("%s", err.text);
    return checkpoint;
}

// All bytes of a tensor, `piece` at a time; freed with free().
static char *load(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor, size_t piece) {
    char *bytes = malloc(tensor->bytes + 1);
    struct tr_err err = {.text = ""};
    assert_non_null(bytes);
    tr_checkpoint_will_read(checkpoint, tensor);
    for (uint64_t at = 0; at < tensor->bytes; at += piece) {
        size_t size = tensor->bytes - at < piece ? (size_t)(tensor->bytes - at) : piece;
        if (tr_checkpoint_read(checkpoint, tensor, at, bytes + at, size, &err))
            fail_msg("%s", err.text);
    }
    return bytes;
}

static void compare_tensor(struct tr_checkpoint *a, struct tr_checkpoint *b, int64_t index) {
    const struct tr_tensor *left = tr_checkpoint_tensor(a, index);
    const struct tr_tensor *right = tr_checkpoint_tensor(b, index);
    assert_string_equal(left->name, right->name);
    assert_int_equal(left->dtype, right->dtype);
    assert_string_equal(left->dtype_text, right->dtype_text);
    assert_int_equal(left->dims, right->dims);
    assert_memory_equal(left->shape, right->shape, sizeof left->shape);
    assert_int_equal(left->bytes, right->bytes);
    char *expected = load(b, right, SIZE_MAX);
    for (size_t piece = 1; piece < 1 << 12; piece = piece * 3 + 2) {
        char *bytes = load(a, left, piece);
        assert_memory_equal(bytes, expected, left->bytes);
        free(bytes);
    }
    free(expected);
}

static void test_the_same_as_safetensors(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int64_t count;
    } cases[] = {
        {"dtypes", 40},           {"small", 12},        {"parameters", 3},     {"training", 7},
        {"sharded_prefixed", 10}, {"small_stream", 12}, {"training_stream", 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char torch[128], same[128];
        snprintf(torch, sizeof torch, GOLDEN "%s", cases[i].name);
        snprintf(same, sizeof same, GOLDEN "%s-safetensors", cases[i].name);
        struct tr_checkpoint *a = open_good(torch), *b = open_good(same);
        assert_int_equal(tr_checkpoint_tensor_count(a), cases[i].count);
        assert_int_equal(tr_checkpoint_tensor_count(b), cases[i].count);
        for (int64_t t = 0; t < cases[i].count; t++)
            compare_tensor(a, b, t);
        tr_checkpoint_close(a);
        tr_checkpoint_close(b);
    }
}

static void test_which_tensors_are_strided(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool strided;
    } cases[] = {{"whole", false},   {"same", false},          {"rows", false},
                 {"columns", true},  {"strided", true},        {"transposed", true},
                 {"expanded", true}, {"scalar", false},        {"empty", false},
                 {"permuted", true}, {"expanded_scalar", true}};
    struct tr_checkpoint *checkpoint = open_good(GOLDEN "small");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(tr_checkpoint_find(checkpoint, cases[i].name)->strided, cases[i].strided);
    assert_int_equal(tr_checkpoint_find(checkpoint, "whole")->piece.offset,
                     tr_checkpoint_find(checkpoint, "same")->piece.offset);
    tr_checkpoint_close(checkpoint);
}

// Pieces of pickles, as in test_torch_pickle.c.
#define TEXT(count, text) "X" count "\0\0\0" text
#define STORAGE(key)                                                                               \
    "(" TEXT("\7", "storage") "ctorch\nFloatStorage\n" TEXT("\1", key) TEXT("\3", "cpu") "K\2tQ"
#define TENSOR(key) "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE(key) "K\0K\2\x85K\1\x85\x89}tR"
#define DICT(items) "\x80\2}(" items "u."
#define ITEM(count, name, key) TEXT(count, name) TENSOR(key)

static char *new_folder(void) {
    static int count;
    char name[32];
    snprintf(name, sizeof name, "checkpoint%d", count++);
    char *folder = make_folder(name), path[3 * FOLDER_PATH];
    snprintf(path, sizeof path, "%s/config.json", folder);
    write_text(path, "{}");
    return folder;
}

static void write_bin(const char *folder, const void *bytes, size_t size) {
    char path[3 * FOLDER_PATH];
    snprintf(path, sizeof path, "%s/pytorch_model.bin", folder);
    write_file(path, bytes, size);
}

// An archive of a pickle, one storage of 8 bytes and, unless NULL, one other entry.
static void write_archive(const char *folder, const char *pickle, size_t size, const char *other,
                          const char *content) {
    struct zip_builder zip = {0};
    zip_add(&zip, "s/data.pkl", pickle, size);
    zip_add(&zip, "s/data/0", "\1\2\3\4\5\6\7\10", 8);
    if (other)
        zip_add(&zip, other, content, strlen(content));
    zip_finish(&zip);
    write_bin(folder, zip.bytes, zip.size);
}

// The error's sentence must be `expected` after the path of the file.
static void assert_refused(const char *folder, enum tr_status code, const char *expected) {
    struct tr_checkpoint *checkpoint = NULL;
    struct tr_err err = {.text = "accepted"};
    char sentence[4 * FOLDER_PATH];
    enum tr_status status = tr_checkpoint_open(&checkpoint, folder, &err);
    snprintf(sentence, sizeof sentence, "%s/pytorch_model.bin%s", folder, expected);
    assert_string_equal(err.text, sentence);
    assert_int_equal(status, code);
    assert_null(checkpoint);
}

static void test_what_is_no_archive(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        enum tr_status code;
        const char *expected;
    } cases[] = {
        {"", 0, TR_EFORMAT, " is empty: its download did not finish"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 42\n", 66, TR_EFORMAT,
         " is a git-LFS pointer, not the file itself: run `git lfs pull` in its repository"},
        {"\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15, TR_EFORMAT,
         ": its pickle does not begin as one"}, // a stream that ends behind its magic number
        {"\x80\2}.", 4, TR_EFORMAT, " does not begin as a file of torch.save"},
        {"PK\3\4", 4, TR_EFORMAT,
         " does not end with the directory of a ZIP archive: it is truncated, or followed by "
         "something else"},
    };
    char *folder = new_folder();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_bin(folder, cases[i].bytes, cases[i].size);
        assert_refused(folder, cases[i].code, cases[i].expected);
    }
}

static void test_archives_of_something_else(void **state) {
    (void)state;
    static const char good[] = DICT(ITEM("\1", "w", "0"));
    static const struct {
        const char *pickle;
        size_t size;
        const char *other, *content;
        enum tr_status code;
        const char *expected;
    } cases[] = {
#define PICKLE(text) (text), sizeof(text) - 1
        {PICKLE(good), "s/byteorder", "big", TR_EUNSUPPORTED,
         " has the byte order \"big\"; known: \"little\""},
        {PICKLE(good), "s/byteorder", "littlest", TR_EUNSUPPORTED,
         " has the byte order \"littles\"; known: \"little\""},
        {PICKLE(good), "t/data.pkl", "", TR_EFORMAT, " has both s/data.pkl and t/data.pkl"},
        {PICKLE("\x80\2](NNe."), NULL, NULL, TR_EUNSUPPORTED,
         " holds a list, not a dict of tensors"},
        {PICKLE(DICT("")), NULL, NULL, TR_EFORMAT, " holds no tensors by name"},
        {PICKLE(DICT("K\1" TENSOR("0"))), NULL, NULL, TR_EFORMAT, " holds no tensors by name"},
        {PICKLE("\x80\2}q\0" TEXT("\5", "model") "h\0s."), NULL, NULL, TR_EFORMAT,
         " holds no tensors by name"}, // a dict that is its own model
        {PICKLE(DICT(ITEM("\1", "w", "1"))), NULL, NULL, TR_EFORMAT,
         ": the storage of tensor w, s/data/1, is missing"},
        {PICKLE(DICT(ITEM("\1", "w", "1"))), "s/data/1", "1234567", TR_EFORMAT,
         ": the storage of tensor w, s/data/1, has 7 bytes, not 2 elements of F32"},
        {PICKLE(DICT(ITEM("\1", "w", "1"))), "s/data/1", "123456789", TR_EFORMAT,
         ": the storage of tensor w, s/data/1, has 9 bytes, not 2 elements of F32"},
        {PICKLE(DICT(ITEM("\2", "w\0", "0"))), NULL, NULL, TR_EFORMAT,
         ": the name of a tensor has a 0 in it"},
        {PICKLE(DICT(ITEM("\1", "w", "0") ITEM("\1", "w", "0"))), NULL, NULL, TR_EFORMAT,
         " has two tensors w"},
        {PICKLE("\x80\2cos\nsystem\n."), NULL, NULL, TR_EUNSUPPORTED,
         " holds the class os.system, not a dict of tensors (save the model's state_dict()); "
         "nothing "
         "of it was run"},
        {PICKLE("\x80\2cos\nsystem\nU\2ls\x85R."), NULL, NULL, TR_EUNSUPPORTED,
         " holds an object of os.system, not a dict of tensors (save the model's state_dict()); "
         "nothing of it was run"},
        {PICKLE("\x80\2}" TEXT("\5", "model") "cm\nNet\n)\x81}" TEXT("\1", "w") TENSOR("0") "sbs."),
         NULL, NULL, TR_EUNSUPPORTED,
         " holds an object of m.Net, not a dict of tensors (save the model's state_dict()); "
         "nothing "
         "of it was run"},
#undef PICKLE
    };
    char *folder = new_folder();
    write_archive(folder, good, sizeof good - 1, "s/byteorder", "little");
    struct tr_checkpoint *checkpoint = open_good(folder);
    assert_int_equal(tr_checkpoint_find(checkpoint, "w")->bytes, 8);
    tr_checkpoint_close(checkpoint);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_archive(folder, cases[i].pickle, cases[i].size, cases[i].other, cases[i].content);
        assert_refused(folder, cases[i].code, cases[i].expected);
    }
}

static void test_an_archive_without_a_pickle(void **state) {
    (void)state;
    struct zip_builder zip = {0};
    char *folder = new_folder();
    zip_add(&zip, "a/b/data.pkl", "", 0);
    zip_add(&zip, "data.pkl", "", 0);
    zip_finish(&zip);
    write_bin(folder, zip.bytes, zip.size);
    assert_refused(folder, TR_EFORMAT, " is a ZIP archive without a data.pkl: not of torch.save");
}

static void test_a_pickle_beyond_reason(void **state) {
    (void)state;
    enum { SIZE = 64 << 20 };
    char *folder = new_folder(), path[3 * FOLDER_PATH];
    struct zip_builder zip = {0};
    zip_add(&zip, "s/data.pkl", "", 0);
    zip_finish(&zip);
    // the directory goes behind 64 MiB and a byte that the file does not keep on disk
    size_t end = zip.directory + SIZE + 1;
    zip_put(&zip, zip.entries[0].central + 20, 4, SIZE + 1);
    zip_put(&zip, zip.entries[0].central + 24, 4, SIZE + 1);
    zip_put(&zip, zip.end64 + 48, 8, end);
    zip_put(&zip, zip.locator + 8, 8, zip.end64 + SIZE + 1);
    zip_put(&zip, zip.end + 16, 4, end);
    write_bin(folder, zip.bytes, zip.directory);
    snprintf(path, sizeof path, "%s/pytorch_model.bin", folder);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    size_t tail = zip.size - zip.directory;
    assert_int_equal(pwrite(fd, zip.bytes + zip.directory, tail, (off_t)end), tail);
    close(fd);
    assert_refused(folder, TR_EUNSUPPORTED,
                   ": its pickle has 67108865 bytes, at most 67108864 are read");
}

static void test_prefixes(void **state) {
    (void)state;
    static const struct {
        const char *pickle;
        size_t size;
        const char *name;
    } cases[] = {
#define PICKLE(text) (text), sizeof(text) - 1
        {PICKLE(DICT(ITEM("\x08", "module.w", "0"))), "w"},
        {PICKLE(DICT(ITEM("\x12", "_orig_mod.module.w", "0"))), "w"},
        {PICKLE(DICT(ITEM("\x0f", "module.module.w", "0"))), "w"},
        {PICKLE(DICT(ITEM("\x08", "module.w", "0") ITEM("\1", "v", "0"))), "w"},
        {PICKLE(DICT(ITEM("\x18", "a._fsdp_wrapped_module.w", "0"))), "a.w"},
        {PICKLE(DICT(ITEM("\7", "module.", "0"))), "module."},
        {PICKLE(DICT(ITEM("\7", "modulew", "0"))), "modulew"},
#undef PICKLE
    };
    char *folder = new_folder();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_archive(folder, cases[i].pickle, cases[i].size, NULL, NULL);
        struct tr_checkpoint *checkpoint = open_good(folder);
        if (!tr_checkpoint_find(checkpoint, cases[i].name))
            fail_msg("no %s", cases[i].name);
        tr_checkpoint_close(checkpoint);
    }
}

// The tensor that the model calls `name` is the file's `expected`; NULL: it has none.
static void assert_spelled(struct tr_checkpoint *checkpoint, const char *name, const char *root,
                           const char *expected) {
    const struct tr_tensor *tensor = NULL;
    struct tr_err err = {.text = ""};
    assert_int_equal(tr_checkpoint_want(checkpoint, name, root, &tensor, &err), TR_OK);
    assert_true(!tensor == !expected);
    if (tensor)
        assert_string_equal(tensor->name, expected);
}

static void test_names_with_and_without_a_prefix(void **state) {
    (void)state;
    static const char pickle[] = DICT(ITEM("\3", "t.a", "0") ITEM("\1", "b", "0"));
    char *folder = new_folder(), lengthy[300] = {0};
    write_archive(folder, pickle, sizeof pickle - 1, NULL, NULL);
    struct tr_checkpoint *checkpoint = open_good(folder);
    assert_spelled(checkpoint, "a", "t.", "t.a");
    assert_spelled(checkpoint, "t.a", "t.", "t.a");
    assert_spelled(checkpoint, "b", "t.", "b");
    assert_spelled(checkpoint, "t.b", "t.", "b");
    assert_spelled(checkpoint, "c", "t.", NULL);
    assert_spelled(checkpoint, memset(lengthy, 'x', 299), "t.", NULL);
    tr_checkpoint_close(checkpoint);
}

// More shards than are open at a time, of tensors that do not lie in row order.
static void test_strided_tensors_of_many_shards(void **state) {
    (void)state;
    enum { SHARDS = 40 };
    static const char strided[] = DICT(TEXT(
        "\2", "00") "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("0") "K\0K\2\x85K\0\x85\x89}tR");
    char *folder = new_folder(), pickle[sizeof strided], name[32], path[3 * FOLDER_PATH];
    char other[3 * FOLDER_PATH], index[4096] = "{\"weight_map\":{";
    for (int i = 0; i < SHARDS; i++) {
        memcpy(pickle, strided, sizeof strided);
        snprintf(name, sizeof name, "%02d", i);
        memcpy(pickle + 4 + 5, name, 2); // behind PROTO, EMPTY_DICT, MARK and the text's count
        write_archive(folder, pickle, sizeof strided - 1, NULL, NULL);
        snprintf(path, sizeof path, "%s/pytorch_model.bin", folder);
        snprintf(other, sizeof other, "%s/shard%02d.bin", folder, i);
        assert_int_equal(rename(path, other), 0);
        snprintf(index + strlen(index), sizeof index - strlen(index),
                 "%s\"%02d\":\"shard%02d.bin\"", i ? "," : "", i, i);
    }
    strcat(index, "}}");
    snprintf(path, sizeof path, "%s/pytorch_model.bin.index.json", folder);
    write_text(path, index);
    struct tr_checkpoint *checkpoint = open_good(folder);
    for (int i = 0; i < SHARDS; i++) {
        snprintf(name, sizeof name, "%02d", i);
        const struct tr_tensor *tensor = tr_checkpoint_find(checkpoint, name);
        assert_non_null(tensor);
        assert_true(tensor->strided);
        char bytes[8];
        struct tr_err err = {.text = ""};
        if (tr_checkpoint_read(checkpoint, tensor, 0, bytes, sizeof bytes, &err))
            fail_msg("%s", err.text);
        assert_memory_equal(bytes, "\1\2\3\4\1\2\3\4", 8);
    }
    tr_checkpoint_close(checkpoint);
}

static void test_safetensors_are_preferred(void **state) {
    (void)state;
    static const char json[] = "\x3c\0\0\0\0\0\0\0{\"s\":{\"dtype\":\"F32\",\"shape\":[1],"
                               "\"data_offsets\":[0,4]}}      data";
    char *folder = new_folder(), path[3 * FOLDER_PATH];
    write_bin(folder, "damaged", 7);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    write_file(path, json, sizeof json - 1);
    struct tr_checkpoint *checkpoint = open_good(folder);
    assert_non_null(tr_checkpoint_find(checkpoint, "s"));
    tr_checkpoint_close(checkpoint);
}

static void identity_of(const char *folder, char out[TR_DIGEST_MAX]) {
    const struct timespec times[2] = {{1000, 0}, {1000, 0}};
    char path[3 * FOLDER_PATH];
    snprintf(path, sizeof path, "%s/pytorch_model.bin", folder);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    struct tr_checkpoint *checkpoint = open_good(folder);
    tr_checkpoint_identity(checkpoint, out);
    tr_checkpoint_close(checkpoint);
}

// Size and time being the same, the pickle's bytes and the directory's count, the storages' do not.
static void test_identity(void **state) {
    (void)state;
    static const char pickle[] = DICT(ITEM("\1", "w", "0")), other[] = DICT(ITEM("\1", "v", "0"));
    char *folder = new_folder(), before[TR_DIGEST_MAX], after[TR_DIGEST_MAX];
    write_archive(folder, pickle, sizeof pickle - 1, "s/x", "1");
    identity_of(folder, before);
    write_archive(folder, pickle, sizeof pickle - 1, "s/x", "2");
    identity_of(folder, after);
    assert_string_equal(before, after);
    write_archive(folder, pickle, sizeof pickle - 1, "s/y", "1");
    identity_of(folder, after);
    assert_string_not_equal(before, after);
    write_archive(folder, other, sizeof other - 1, "s/x", "1");
    identity_of(folder, after);
    assert_string_not_equal(before, after);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_as_safetensors),
        cmocka_unit_test(test_which_tensors_are_strided),
        cmocka_unit_test(test_what_is_no_archive),
        cmocka_unit_test(test_archives_of_something_else),
        cmocka_unit_test(test_an_archive_without_a_pickle),
        cmocka_unit_test(test_a_pickle_beyond_reason),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_names_with_and_without_a_prefix),
        cmocka_unit_test(test_strided_tensors_of_many_shards),
        cmocka_unit_test(test_safetensors_are_preferred),
        cmocka_unit_test(test_identity),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
