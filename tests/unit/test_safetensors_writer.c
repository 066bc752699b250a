// SPDX-License-Identifier: Apache-2.0
// Written checkpoints: their bytes, what our reader finds in them, and what is left when writing
// fails. tests/oracle/test_safetensors_writer.py has the public library read them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

#include "ckpt/safetensors_writer.h"
#include "folder.h"

static struct tr_err err;

#define OK(call) assert_ok((call), __LINE__)
static void assert_ok(enum tr_status status, int line) {
    if (status != TR_OK)
        fail_msg("line %d: %s", line, err.text);
}

static char *new_folder(void) {
    static int count;
    char name[32];
    snprintf(name, sizeof name, "written%d", count++);
    return make_folder(name);
}

static int count_files(const char *folder) {
    int count = 0;
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries));)
        count += entry->d_name[0] != '.';
    closedir(entries);
    return count;
}

static char *load(const char *path, size_t *size_p) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    rewind(file);
    char *bytes = calloc((size_t)size + 1, 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)size, file), size);
    fclose(file);
    *size_p = (size_t)size;
    return bytes;
}

// ---- sources: byte i of a tensor is its seed + i * 7 -------------------------------------------

struct made {
    unsigned seed;
    uint64_t next; // byte that is asked for next
    uint64_t fail; // from this byte on reading fails; 0: never
};

static unsigned char byte_of(unsigned seed, uint64_t i) {
    return (unsigned char)(seed + i * 7 + (i >> 8));
}

static enum tr_status read_made(void *user, uint64_t begin, void *bytes, size_t size,
                                struct tr_err *e) {
    struct made *made = user;
    assert_int_equal(begin, made->next);
    assert_true(size > 0);
    made->next = begin + size;
    if (made->fail && begin + size >= made->fail)
        return tr_fail(e, TR_EIO, "the source broke");
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)bytes)[i] = byte_of(made->seed, begin + i);
    return TR_OK;
}

static struct tr_tensor_source source(struct made *made, const char *name, const char *dtype,
                                      int dims, int64_t a, int64_t b) {
    return (struct tr_tensor_source){.name = name,
                                     .dtype_text = dtype,
                                     .dims = dims,
                                     .shape = {a, b},
                                     .read = read_made,
                                     .user = made};
}

static struct tr_checkpoint *open_written(const char *folder) {
    struct tr_checkpoint *checkpoint;
    write_text(path_in(folder, "config.json"), "{}");
    OK(tr_checkpoint_open(&checkpoint, folder, &err));
    return checkpoint;
}

static void assert_tensor(struct tr_checkpoint *checkpoint, const struct tr_tensor_source *s) {
    const struct tr_tensor *tensor = tr_checkpoint_find(checkpoint, s->name);
    const struct made *made = s->user;
    if (!tensor)
        fail_msg("%s is missing", s->name);
    assert_string_equal(tensor->dtype_text, s->dtype_text);
    assert_int_equal(tensor->dims, s->dims);
    assert_memory_equal(tensor->shape, s->shape, (size_t)s->dims * sizeof *s->shape);
    assert_int_equal(tensor->bytes, made->next);
    unsigned char *bytes = malloc(tensor->bytes + 1);
    assert_non_null(bytes);
    OK(tr_checkpoint_read(checkpoint, tensor, 0, bytes, tensor->bytes, &err));
    for (uint64_t i = 0; i < tensor->bytes; i++)
        if (bytes[i] != byte_of(made->seed, i))
            fail_msg("%s differs at byte %llu", s->name, (unsigned long long)i);
    free(bytes);
}

// ---- tests -------------------------------------------------------------------------------------

static void test_the_bytes_of_a_file(void **state) {
    (void)state;
    static const char expected[] =
        "\xd0\0\0\0\0\0\0\0{\"__metadata__\":{\"format\":\"pt\"},"
        "\"\\\"\\\\\\n\\u0001/\xc3\xa9\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[8,8]},"
        "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[8,11]}}  ";
    struct made made[3] = {{.seed = 'A'}, {.seed = 2}, {.seed = '0'}};
    const struct tr_tensor_source sources[] = {
        source(&made[0], "a", "U8", 1, 3, 0), source(&made[1], "b", "F32", 2, 0, 3),
        source(&made[2], "\"\\\n\1/\xc3\xa9", "I64", 0, 0, 0)};
    char *folder = new_folder();
    size_t size;
    OK(tr_safetensors_write(folder, sources, 3, UINT64_MAX, &err));
    assert_int_equal(count_files(folder), 1);
    char *bytes = load(path_in(folder, "model.safetensors"), &size);
    size_t header = sizeof expected - 1;
    assert_int_equal(header % 8, 0);
    assert_int_equal((unsigned char)expected[0], header - 8);
    assert_int_equal(size, header + 11);
    assert_memory_equal(bytes, expected, header);
    assert_memory_equal(bytes + header,
                        "07>ELSZa"
                        "AHO",
                        11);
    free(bytes);
}

static void test_all_types(void **state) {
    (void)state;
    static const char *const types[] = {
        "U64", "I64", "F64",     "C64",         "F32",         "U32",     "I32",     "BF16",
        "F16", "U16", "I16",     "F8_E5M2FNUZ", "F8_E4M3FNUZ", "F8_E8M0", "F8_E4M3", "F8_E5M2",
        "I8",  "U8",  "F6_E3M2", "F6_E2M3",     "F4",          "BOOL"};
    enum { TYPES = sizeof types / sizeof *types };
    struct made made[2 * TYPES] = {{0}};
    struct tr_tensor_source sources[2 * TYPES];
    char names[2 * TYPES][32];
    for (int i = 0; i < 2 * TYPES; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        made[i].seed = (unsigned)i * 31;
        sources[i] =
            source(&made[i], names[i], types[i % TYPES], i < TYPES ? 2 : 1, 4, i < TYPES ? 6 : 0);
    }
    char *folder = new_folder();
    OK(tr_safetensors_write(folder, sources, 2 * TYPES, UINT64_MAX, &err));
    struct tr_checkpoint *checkpoint = open_written(folder);
    assert_int_equal(tr_checkpoint_tensor_count(checkpoint), 2 * TYPES);
    for (int i = 0; i < 2 * TYPES; i++)
        assert_tensor(checkpoint, &sources[i]);
    tr_checkpoint_close(checkpoint);
}

// Larger than the buffer, which then is filled several times.
static void test_a_large_tensor(void **state) {
    (void)state;
    struct made made = {.seed = 5};
    const struct tr_tensor_source large = source(&made, "w", "F32", 2, 4321, 1000);
    char *folder = new_folder();
    OK(tr_safetensors_write(folder, &large, 1, 100, &err));
    assert_int_equal(made.next, 4 * 4321 * 1000);
    assert_int_equal(count_files(folder), 1);
    struct tr_checkpoint *checkpoint = open_written(folder);
    assert_tensor(checkpoint, &large);
    tr_checkpoint_close(checkpoint);
}

static void test_shards(void **state) {
    (void)state;
    struct made made[6] = {{.seed = 1}, {.seed = 2}, {.seed = 3},
                           {.seed = 4}, {.seed = 5}, {.seed = 6}};
    const struct tr_tensor_source sources[] = {
        source(&made[0], "z", "F32", 1, 10, 0), source(&made[1], "b", "F16", 1, 10, 0),
        source(&made[2], "c", "F32", 1, 1, 0),  source(&made[3], "big", "F32", 1, 100, 0),
        source(&made[4], "e", "F32", 1, 0, 0),  source(&made[5], "a", "F32", 1, 15, 0)};
    static const char index[] = "{\n  \"metadata\": {\n    \"total_size\": 524\n  },\n"
                                "  \"weight_map\": {\n"
                                "    \"a\": \"model-00004-of-00004.safetensors\",\n"
                                "    \"b\": \"model-00001-of-00004.safetensors\",\n"
                                "    \"big\": \"model-00003-of-00004.safetensors\",\n"
                                "    \"c\": \"model-00002-of-00004.safetensors\",\n"
                                "    \"e\": \"model-00004-of-00004.safetensors\",\n"
                                "    \"z\": \"model-00001-of-00004.safetensors\"\n  }\n}\n";
    char *folder = new_folder();
    size_t size;
    OK(tr_safetensors_write(folder, sources, 6, 60, &err));
    assert_int_equal(count_files(folder), 5);
    char *bytes = load(path_in(folder, "model.safetensors.index.json"), &size);
    assert_string_equal(bytes, index);
    free(bytes);
    struct tr_checkpoint *checkpoint = open_written(folder);
    assert_int_equal(tr_checkpoint_tensor_count(checkpoint), 6);
    for (int i = 0; i < 6; i++)
        assert_tensor(checkpoint, &sources[i]);
    tr_checkpoint_close(checkpoint);
}

static void test_no_tensors(void **state) {
    (void)state;
    char *folder = new_folder();
    OK(tr_safetensors_write(folder, NULL, 0, 0, &err));
    struct tr_checkpoint *checkpoint = open_written(folder);
    assert_int_equal(tr_checkpoint_tensor_count(checkpoint), 0);
    tr_checkpoint_close(checkpoint);
}

// Copies all tensors of a checkpoint, each the way it lies in its files.
static char *copy(const char *from) {
    struct tr_checkpoint *checkpoint;
    char *folder = new_folder();
    OK(tr_checkpoint_open(&checkpoint, from, &err));
    int64_t count = tr_checkpoint_tensor_count(checkpoint);
    struct tr_tensor_source *sources = calloc((size_t)count, sizeof *sources);
    assert_non_null(sources);
    for (int64_t i = 0; i < count; i++)
        sources[i] = tr_tensor_source_of(checkpoint, tr_checkpoint_tensor(checkpoint, i));
    OK(tr_safetensors_write(folder, sources, count, UINT64_MAX, &err));
    tr_checkpoint_close(checkpoint);
    free(sources);
    return folder;
}

// What the public library wrote comes out as it is.
static void test_copies(void **state) {
    (void)state;
    static const char *const folders[] = {"tests/series/demo/step_512",
                                          "tests/series/neox/step_512"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        size_t size, expected_size;
        char *expected = load(path_in(folders[i], "model.safetensors"), &expected_size);
        char *bytes = load(path_in(copy(folders[i]), "model.safetensors"), &size);
        assert_int_equal(size, expected_size);
        assert_memory_equal(bytes, expected, size);
        free(bytes);
        free(expected);
    }
}

static char *read_all(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor) {
    char *bytes = malloc(tensor->bytes + 1);
    assert_non_null(bytes);
    OK(tr_checkpoint_read(checkpoint, tensor, 0, bytes, tensor->bytes, &err));
    return bytes;
}

// Views of storages, of all types, from files of torch.save.
static void test_copies_from_another_format(void **state) {
    (void)state;
    static const char *const folders[] = {"tests/golden/torch_bin/small",
                                          "tests/golden/torch_bin/dtypes"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        struct tr_checkpoint *from, *to = open_written(copy(folders[i]));
        OK(tr_checkpoint_open(&from, folders[i], &err));
        assert_int_equal(tr_checkpoint_tensor_count(from), tr_checkpoint_tensor_count(to));
        for (int64_t t = 0; t < tr_checkpoint_tensor_count(from); t++) {
            const struct tr_tensor *a = tr_checkpoint_tensor(from, t);
            const struct tr_tensor *b = tr_checkpoint_tensor(to, t);
            assert_string_equal(a->name, b->name);
            assert_string_equal(a->dtype_text, b->dtype_text);
            assert_int_equal(a->dims, b->dims);
            assert_memory_equal(a->shape, b->shape, sizeof a->shape);
            assert_int_equal(a->bytes, b->bytes);
            char *expected = read_all(from, a), *bytes = read_all(to, b);
            assert_memory_equal(bytes, expected, a->bytes);
            free(bytes);
            free(expected);
        }
        tr_checkpoint_close(from);
        tr_checkpoint_close(to);
    }
}

static void assert_refused(const char *folder, const struct tr_tensor_source *sources,
                           int64_t count, enum tr_status code, const char *expected) {
    char sentence[4 * FOLDER_PATH];
    int files = count_files(folder);
    snprintf(sentence, sizeof sentence, "%s%s", folder, expected);
    err.text[0] = '\0';
    assert_int_equal(tr_safetensors_write(folder, sources, count, 60, &err), code);
    assert_string_equal(err.text, sentence);
    assert_int_equal(count_files(folder), files);
}

static void test_what_cannot_be_written(void **state) {
    (void)state;
    struct made made = {0};
    static const struct {
        const char *name, *dtype;
        int64_t shape[2];
        const char *expected;
    } cases[] = {
        {"__metadata__", "F32", {1, 1}, ": no tensor can have the name __metadata__"},
        {"\xff", "F32", {1, 1}, ": no tensor can have the name ?"},
        {"w", "f32", {1, 1}, ": tensor w has type f32, which safetensors does not have"},
        {"w", "F4", {3, 1}, ": tensor w of type F4 and shape [3, 1] does not fill whole bytes"},
        {"w", "F32", {-1, 1}, ": tensor w of type F32 and shape [-1, 1] does not fill whole bytes"},
        {"w",
         "F32",
         {INT64_MAX, 8},
         ": tensor w of type F32 and shape [9223372036854775807, 8] "
         "does not fill whole bytes"},
        {"x", "F32", {1, 1}, ": two tensors are called x"},
    };
    char *folder = new_folder();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct tr_tensor_source sources[] = {
            source(&made, "x", "F32", 1, 20, 0),
            source(&made, cases[i].name, cases[i].dtype, 2, cases[i].shape[0], cases[i].shape[1])};
        assert_refused(folder, sources, 2, TR_EUSAGE, cases[i].expected);
    }
}

static void test_a_checkpoint_that_is_there(void **state) {
    (void)state;
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};
    struct made made = {0};
    const struct tr_tensor_source w = source(&made, "w", "F32", 1, 20, 0);
    for (int i = 0; i < 2; i++) {
        char *folder = new_folder(), expected[64];
        write_text(path_in(folder, names[i]), "other");
        snprintf(expected, sizeof expected, " already holds a checkpoint (%s)", names[i]);
        assert_refused(folder, &w, 1, TR_ECONFLICT, expected);
    }
}

static void assert_fails(const char *folder, const struct tr_tensor_source *sources, int64_t count,
                         const char *expected) {
    assert_int_equal(tr_safetensors_write(folder, sources, count, 50, &err), TR_EIO);
    if (!strstr(err.text, expected))
        fail_msg("%s", err.text);
    assert_int_equal(count_files(folder), 0);
}

// Nothing is left of a checkpoint of which a later shard cannot be written.
static void test_a_source_that_breaks(void **state) {
    (void)state;
    for (uint64_t at = 0; at < 3; at++) {
        struct made made[3] = {{0}, {0}, {0}};
        const struct tr_tensor_source sources[] = {source(&made[0], "a", "F32", 1, 10, 0),
                                                   source(&made[1], "b", "F32", 1, 10, 0),
                                                   source(&made[2], "c", "F32", 1, 10, 0)};
        made[at].fail = 1;
        assert_fails(new_folder(), sources, 3, "the source broke");
    }
}

static void test_a_disk_that_is_full(void **state) {
    (void)state;
    struct made made[2] = {{0}, {0}};
    const struct tr_tensor_source sources[] = {source(&made[0], "a", "F32", 1, 10, 0),
                                               source(&made[1], "b", "F32", 1, 100000, 0)};
    struct rlimit before, low;
    char *folder = new_folder();
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    low = before;
    low.rlim_cur = 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    assert_fails(folder, sources, 2, "cannot write ");
    assert_non_null(strstr(err.text, "model-00002-of-00002.safetensors: "));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    made[0].next = made[1].next = 0;
    OK(tr_safetensors_write(folder, sources, 2, 50, &err)); // and now there is room
    assert_int_equal(count_files(folder), 3);
}

static void test_a_folder_that_is_missing(void **state) {
    (void)state;
    struct made made = {0};
    const struct tr_tensor_source w = source(&made, "w", "F32", 1, 20, 0);
    assert_int_equal(tr_safetensors_write(in_folder("nowhere"), &w, 1, 100, &err), TR_EIO);
    assert_non_null(strstr(err.text, "nowhere/model.safetensors: No such file"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bytes_of_a_file),
        cmocka_unit_test(test_all_types),
        cmocka_unit_test(test_a_large_tensor),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_no_tensors),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_copies_from_another_format),
        cmocka_unit_test(test_what_cannot_be_written),
        cmocka_unit_test(test_a_checkpoint_that_is_there),
        cmocka_unit_test(test_a_source_that_breaks),
        cmocka_unit_test(test_a_disk_that_is_full),
        cmocka_unit_test(test_a_folder_that_is_missing),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
