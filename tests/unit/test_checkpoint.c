// SPDX-License-Identifier: Apache-2.0
// Checkpoint folders made by the test: single, sharded, damaged in every way we know.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ckpt/checkpoint.h"
#include "folder.h"

static char text[8][4096];

// The path with every '@' replaced by the present test's checkpoint folder.
static const char *expand(const char *folder, const char *with) {
    static int next;
    char *out = text[next++ % 8];
    size_t at = 0;
    for (; *with; with++)
        at += (size_t)snprintf(out + at, sizeof text[0] - at, *with == '@' ? "%s" : "%.1s",
                               *with == '@' ? folder : with);
    return out;
}

// A safetensors file: the size of the header, the header, `data` bytes counting up from `first`.
static void write_safetensors(const char *path, const char *json, size_t data, int first) {
    uint64_t size = strlen(json);
    char *bytes = malloc(8 + size + data);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(size >> 8 * i);
    memcpy(bytes + 8, json, size);
    for (size_t i = 0; i < data; i++)
        bytes[8 + size + i] = (char)(first + (int)i);
    write_file(path, bytes, 8 + size + data);
    free(bytes);
}

#define TENSOR(name, begin, end)                                                                   \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[" begin "," end "]}"
#define ONE "model-00001-of-00002.safetensors"
#define TWO "model-00002-of-00002.safetensors"
#define INDEX "model.safetensors.index.json"

static char *new_folder(void) {
    static int count;
    char name[32];
    snprintf(name, sizeof name, "checkpoint%d", count++);
    return make_folder(name);
}

static void write_config(const char *folder) {
    write_text(path_in(folder, "config.json"), "{\"model_type\": \"llama\"}");
}

static char *single_folder(void) {
    char *folder = new_folder();
    write_config(folder);
    write_safetensors(path_in(folder, "model.safetensors"),
                      "{" TENSOR("b", "0", "8") "," TENSOR("a", "8", "16") "}", 16, 0);
    return folder;
}

static char *sharded_folder(void) {
    char *folder = new_folder();
    write_config(folder);
    write_safetensors(path_in(folder, ONE), "{" TENSOR("a", "0", "8") "}", 8, 10);
    write_safetensors(path_in(folder, TWO),
                      "{" TENSOR("c", "0", "8") "," TENSOR("b", "8", "16") "}", 16, 20);
    write_text(path_in(folder, INDEX),
               "{\"metadata\":{\"total_size\":24,\"x\":[{},[],1.5e-3,null,true,{\"y\":\"}\"}]},"
               "\"weight_map\":{\"a\":\"" ONE "\",\"b\":\"" TWO "\",\"c\":\"" TWO "\"}}");
    return folder;
}

static struct tr_checkpoint *open_good(const char *folder) {
    struct tr_checkpoint *checkpoint;
    struct tr_err err = {.text = ""};
    if (tr_checkpoint_open(&checkpoint, folder, &err))
        fail_msg("%s", err.text);
    return checkpoint;
}

static void assert_refused(const char *folder, enum tr_status code, const char *expected) {
    struct tr_checkpoint *checkpoint = NULL;
    struct tr_err err = {.text = "accepted"};
    enum tr_status status = tr_checkpoint_open(&checkpoint, folder, &err);
    assert_string_equal(err.text, expand(folder, expected));
    assert_int_equal(status, code);
    assert_null(checkpoint);
}

static void assert_tensor(struct tr_checkpoint *checkpoint, const char *name, const char *file,
                          int first) {
    const struct tr_tensor *tensor = tr_checkpoint_find(checkpoint, name);
    unsigned char bytes[8];
    struct tr_err err;
    assert_non_null(tensor);
    assert_string_equal(tr_checkpoint_file(checkpoint, tensor), file);
    tr_checkpoint_will_read(checkpoint, tensor);
    assert_int_equal(tr_checkpoint_read(checkpoint, tensor, 0, bytes, 8, &err), TR_OK);
    assert_int_equal(bytes[0], first);
    assert_int_equal(bytes[7], first + 7);
    assert_int_equal(tr_checkpoint_read(checkpoint, tensor, 5, bytes, 3, &err), TR_OK);
    assert_int_equal(bytes[0], first + 5);
}

static void test_single(void **state) {
    (void)state;
    char *folder = single_folder();
    struct tr_checkpoint *checkpoint = open_good(folder);
    size_t size;
    assert_int_equal(tr_checkpoint_tensor_count(checkpoint), 2);
    assert_string_equal(tr_checkpoint_tensor(checkpoint, 0)->name, "a");
    assert_string_equal(tr_checkpoint_tensor(checkpoint, 1)->name, "b");
    assert_tensor(checkpoint, "a", path_in(folder, "model.safetensors"), 8);
    assert_tensor(checkpoint, "b", path_in(folder, "model.safetensors"), 0);
    assert_null(tr_checkpoint_find(checkpoint, "c"));
    struct stat info;
    assert_int_equal(stat(path_in(folder, "model.safetensors"), &info), 0);
    assert_int_equal(tr_checkpoint_bytes(checkpoint), info.st_size);
    assert_string_equal(tr_checkpoint_config(checkpoint, &size), "{\"model_type\": \"llama\"}");
    assert_int_equal(size, 23);
    char digest[TR_DIGEST_MAX];
    tr_digest_bytes("{\"model_type\": \"llama\"}", 23, digest);
    assert_string_equal(tr_checkpoint_config_digest(checkpoint), digest);
    tr_checkpoint_close(checkpoint);
    tr_checkpoint_close(NULL);
}

static void test_reading_beyond_a_tensor(void **state) {
    (void)state;
    char *folder = single_folder();
    struct tr_checkpoint *checkpoint = open_good(folder);
    const struct tr_tensor *tensor = tr_checkpoint_find(checkpoint, "a");
    char bytes[16];
    struct tr_err err;
    assert_int_equal(tr_checkpoint_read(checkpoint, tensor, 4, bytes, 5, &err), TR_EUSAGE);
    assert_string_equal(
        err.text,
        expand(folder, "@/model.safetensors: tensor a has 8 bytes, 5 were asked for at 4"));
    assert_int_equal(tr_checkpoint_read(checkpoint, tensor, UINT64_MAX, bytes, 2, &err), TR_EUSAGE);
    assert_int_equal(truncate(path_in(folder, "model.safetensors"), 100), 0);
    assert_int_equal(tr_checkpoint_read(checkpoint, tensor, 0, bytes, 8, &err), TR_EIO);
    tr_checkpoint_close(checkpoint);
}

static void test_sharded(void **state) {
    (void)state;
    char *folder = sharded_folder();
    struct tr_checkpoint *checkpoint = open_good(folder);
    assert_int_equal(tr_checkpoint_tensor_count(checkpoint), 3);
    assert_tensor(checkpoint, "a", path_in(folder, ONE), 10);
    assert_tensor(checkpoint, "b", path_in(folder, TWO), 28);
    assert_tensor(checkpoint, "c", path_in(folder, TWO), 20);
    tr_checkpoint_close(checkpoint);
}

static void test_seventy_two_shards(void **state) {
    (void)state;
    enum { SHARDS = 72 };
    char *folder = new_folder(), index[8192] = "{\"weight_map\":{";
    write_config(folder);
    for (int i = 0; i < SHARDS; i++) {
        char name[64], json[128];
        snprintf(name, sizeof name, "model-%05d-of-00072.safetensors", i);
        snprintf(json, sizeof json,
                 "{\"t%d\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}", i);
        write_safetensors(path_in(folder, name), json, 8, i);
        snprintf(index + strlen(index), sizeof index - strlen(index), "%s\"t%d\":\"%s\"",
                 i ? "," : "", i, name);
    }
    strcat(index, "}}");
    write_text(path_in(folder, INDEX), index);
    struct tr_checkpoint *checkpoint = open_good(folder);
    assert_int_equal(tr_checkpoint_tensor_count(checkpoint), SHARDS);
    assert_tensor(checkpoint, "t71", path_in(folder, "model-00071-of-00072.safetensors"), 71);
    tr_checkpoint_close(checkpoint);
}

#define FORMATS                                                                                    \
    "model.safetensors, model.safetensors.index.json, pytorch_model.bin, "                         \
    "pytorch_model.bin.index.json or model.pt"

static void test_folders_without_a_checkpoint(void **state) {
    (void)state;
    static const struct {
        const char *file, *what;
        enum tr_status code;
    } cases[] = {
        {"adapter_model.safetensors", "an adapter, not a whole model", TR_EUNSUPPORTED},
        {ONE, "shards without their index", TR_EFORMAT},
        {"pytorch_model-00001-of-00003.bin", "shards without their index", TR_EFORMAT},
        {"model.safetensors.incomplete", "an unfinished download", TR_EFORMAT},
        {"__0_0.distcp",
         "a PyTorch distributed checkpoint without its .metadata, which is written last",
         TR_EFORMAT},
        {"mp_rank_00", "a part of a Megatron checkpoint", TR_EFORMAT},
        {"llama.Q4_0.gguf", "GGUF weights", TR_EUNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *folder = new_folder(), expected[512];
        write_config(folder);
        write_text(path_in(folder, cases[i].file), "x");
        snprintf(expected, sizeof expected, "@ holds %s (%s); what can be read is " FORMATS,
                 cases[i].what, cases[i].file);
        assert_refused(folder, cases[i].code, expected);
    }
    char *several = new_folder(); // the first row of the table wins, in whatever order files come
    write_text(path_in(several, "a.gguf"), "x");
    write_text(path_in(several, "mp_rank_00"), "x");
    write_text(path_in(several, "z.gguf"), "x");
    write_text(path_in(several, "tf_model.h5"), "x");
    assert_refused(several, TR_EFORMAT,
                   "@ holds a part of a Megatron checkpoint (mp_rank_00); what can be read "
                   "is " FORMATS);
    assert_refused(new_folder(), TR_EFORMAT, "@ holds no checkpoint: there is no " FORMATS);
    assert_refused(in_folder("nowhere"), TR_EIO,
                   "cannot open the folder @: No such file or directory");
}

static void test_config(void **state) {
    (void)state;
    char *folder = single_folder();
    write_text(path_in(folder, "config.json"), "");
    assert_refused(folder, TR_EFORMAT, "@/config.json is empty: its download did not finish");
    assert_int_equal(unlink(path_in(folder, "config.json")), 0);
    assert_refused(folder, TR_EFORMAT, "@ has no config.json");
}

#define LFS "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 42\n"

static void test_damaged_weights(void **state) {
    (void)state;
    static const struct {
        const char *bytes, *expected;
        size_t size;
    } cases[] = {
        {"", " is empty: its download did not finish", 0},
        {LFS, " is a git-LFS pointer, not the file itself: run `git lfs pull` in its repository",
         sizeof LFS - 1},
        {"\2\0\0\0\0\0\0\0{", " has 9 bytes, too few for a safetensors file", 9},
        {"\3\0\0\0\0\0\0\0{}", " claims a header of 3 bytes, the file has only 10: it is truncated",
         10},
        {"\x01\xe1\xf5\x05\0\0\0\0{}",
         " claims a header of 100000001 bytes, more than the 100000000 accepted: not a safetensors "
         "file?",
         10},
        {"\xff\xff\xff\xff\xff\xff\xff\xff{}",
         " claims a header of 18446744073709551615 bytes, more than the 100000000 accepted: not a "
         "safetensors file?",
         10},
        {"\2\0\0\0\0\0\0\0[]", ": malformed JSON at byte 0: expected '{', found '['", 10},
        {"\2\0\0\0\0\0\0\0{}x",
         ": the header describes 0 bytes of data, the file has 1: it is followed by something else",
         11},
    };
    char *folder = single_folder();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[512];
        write_file(path_in(folder, "model.safetensors"), cases[i].bytes, cases[i].size);
        snprintf(expected, sizeof expected, "@/model.safetensors%s", cases[i].expected);
        assert_refused(folder, TR_EFORMAT, expected);
    }
    assert_int_equal(unlink(path_in(folder, "model.safetensors")), 0);
    assert_int_equal(symlink("nowhere", path_in(folder, "model.safetensors")), 0);
    assert_refused(folder, TR_EIO, "cannot open @/model.safetensors: No such file or directory");
    assert_int_equal(unlink(path_in(folder, "model.safetensors")), 0);
    assert_int_equal(mkfifo(path_in(folder, "model.safetensors"), 0600), 0);
    assert_refused(folder, TR_EFORMAT, "@/model.safetensors is not a regular file");
}

#define MAP(map) "{\"weight_map\":{" map "}}"

static void test_damaged_indexes(void **state) {
    (void)state;
    static const struct {
        const char *index, *expected;
    } cases[] = {
        {"", " is empty: its download did not finish"},
        {LFS, " is a git-LFS pointer, not the file itself: run `git lfs pull` in its repository"},
        {"{\"metadata\":{}}", " has no \"weight_map\""},
        {MAP(""), ": malformed JSON at byte 15: expected a string, found '}'"},
        {"{\"weight_map\":{\"a\":1}}", ": malformed JSON at byte 19: expected a string, found '1'"},
        {"{\"weight_map\":{\"a\":\"b\"},\"weight_map\":{\"a\":\"b\"}}", " has two \"weight_map\""},
        {MAP("\"a\":\"" ONE "\",\"a\":\"" ONE "\""),
         " places tensor a twice, in " ONE " and in " ONE},
        {MAP("\"a\":\"../" ONE "\""),
         ": tensor a is placed in \"../" ONE "\", which is not a plain file name"},
        {MAP("\"a\":\"/etc/passwd\""),
         ": tensor a is placed in \"/etc/passwd\", which is not a plain file name"},
        {MAP("\"a\":\"sub/../x\""),
         ": tensor a is placed in \"sub/../x\", which is not a plain file name"},
        {MAP("\"a\":\"sub/..\""),
         ": tensor a is placed in \"sub/..\", which is not a plain file name"},
        {MAP("\"a\":\"sub/\""), ": tensor a is placed in \"sub/\", which is not a plain file name"},
        {MAP("\"a\":\"./.\""), ": tensor a is placed in \"./.\", which is not a plain file name"},
        {MAP("\"a\":\"..\""), ": tensor a is placed in \"..\", which is not a plain file name"},
        {MAP("\"a\":\".\""), ": tensor a is placed in \".\", which is not a plain file name"},
        {MAP("\"a\":\"\""), ": tensor a is placed in \"\", which is not a plain file name"},
        {MAP("\"a\":\"" ONE "\",\"b\":\"x1\",\"c\":\"x0\""), ": 2 of 3 shards are missing: x0, x1"},
        {MAP("\"a\":\"1\",\"b\":\"2\",\"c\":\"3\",\"d\":\"4\",\"e\":\"5\""),
         ": 5 of 5 shards are missing: 1, 2, 3, 4 ..."},
        {"{\"metadata\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
         ": malformed JSON at byte 77: expected at most 64 levels of nesting, found the end"},
        {"{\"metadata\":nul}", ": malformed JSON at byte 12: expected a value, found 'n'"},
        {"{\"metadata\":{\"a\" 1}}", ": malformed JSON at byte 17: expected ':', found '1'"},
        {"{\"metadata\":[1}}", ": malformed JSON at byte 14: expected ',', found '}'"},
        {"{\"metadata\":-}", ": malformed JSON at byte 13: expected a value, found '}'"},
    };
    char *folder = sharded_folder();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[512];
        write_text(path_in(folder, INDEX), cases[i].index);
        snprintf(expected, sizeof expected, "@/" INDEX "%s", cases[i].expected);
        assert_refused(folder, TR_EFORMAT, expected);
    }
}

static void test_damaged_shards(void **state) {
    (void)state;
    char *folder = sharded_folder();
    assert_int_equal(truncate(path_in(folder, ONE), 30), 0);
    assert_refused(folder, TR_EFORMAT,
                   "@/" ONE " claims a header of 54 bytes, the file has only 30: it is truncated");
    write_text(path_in(folder, ONE), LFS);
    assert_refused(folder, TR_EFORMAT,
                   "@/" ONE " is a git-LFS pointer, not the file itself: run `git lfs pull` in its "
                   "repository");
    write_text(path_in(folder, ONE), "");
    assert_refused(folder, TR_EFORMAT, "@/" ONE " is empty: its download did not finish");
}

// What wanting the tensor `name` of the folder says; NULL: it is there, its first byte `first`.
static void assert_wanted(const char *folder, const char *name, const char *root, int first,
                          const char *expected) {
    struct tr_checkpoint *checkpoint = open_good(folder);
    const struct tr_tensor *tensor = NULL;
    unsigned char byte;
    struct tr_err err = {.text = "wanted"};
    for (int again = 0; again < 2; again++) { // copies are compared once
        enum tr_status status = tr_checkpoint_want(checkpoint, name, root, &tensor, &err);
        assert_int_equal(status, expected ? TR_EFORMAT : TR_OK);
        assert_string_equal(err.text, expected ? expand(folder, expected) : "wanted");
        if (expected)
            continue;
        assert_non_null(tensor);
        assert_int_equal(tr_checkpoint_read(checkpoint, tensor, 0, &byte, 1, &err), TR_OK);
        assert_int_equal(byte, first);
    }
    tr_checkpoint_close(checkpoint);
}

// An index may list what no shard has; a tensor that is needed must be where it says.
static void test_places(void **state) {
    (void)state;
    static const struct {
        const char *index, *name, *expected;
    } cases[] = {
        {MAP("\"a\":\"" ONE "\",\"b\":\"" TWO "\",\"z\":\"" ONE "\""), "b", NULL},
        {MAP("\"a\":\"" ONE "\",\"b\":\"" TWO "\",\"z\":\"" ONE "\""), "z",
         "@/" INDEX " places tensor z in " ONE ", which does not have it"},
        {MAP("\"b\":\"" ONE "\",\"c\":\"" TWO "\""), "b",
         "@/" INDEX " places tensor b in " ONE ", it is in " TWO},
        {MAP("\"b\":\"" ONE "\",\"c\":\"" TWO "\""), "c", NULL},
        {MAP("\"a\":\"" ONE "\",\"c\":\"" TWO "\""), "b", NULL}, // it is not told
        {MAP("\"a\":\"./" ONE "\",\"b\":\".//./" TWO "\""), "b", NULL},
        {MAP("\"module.a\":\"" TWO "\",\"c\":\"" ONE "\""), "a",
         "@/" INDEX " places tensor a in " TWO ", it is in " ONE},
    };
    char *folder = sharded_folder();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(path_in(folder, INDEX), cases[i].index);
        assert_wanted(folder, cases[i].name, "", *cases[i].name == 'c' ? 20 : 28,
                      cases[i].expected);
    }
}

static void test_shards_in_folders(void **state) {
    (void)state;
    char *folder = new_folder();
    write_config(folder);
    assert_int_equal(mkdir(path_in(folder, "sub"), 0777), 0);
    write_safetensors(path_in(folder, "sub/x"), "{" TENSOR("a", "0", "8") "}", 8, 7);
    write_text(path_in(folder, INDEX), MAP("\"a\":\"./sub//./x\""));
    assert_wanted(folder, "a", "", 7, NULL);
    write_text(path_in(folder, INDEX), MAP("\"a\":\"sub/y\""));
    assert_refused(folder, TR_EFORMAT, "@/" INDEX ": 1 of 1 shards are missing: sub/y");
}

// A second copy with the same bytes is the same tensor, one with others is refused by name.
static void test_copies(void **state) {
    (void)state;
    char *folder = sharded_folder();
    write_safetensors(path_in(folder, ONE), "{" TENSOR("b", "0", "8") "}", 8, 28);
    assert_wanted(folder, "b", "", 28, NULL);
    write_safetensors(path_in(folder, ONE), "{" TENSOR("b", "0", "8") "}", 8, 0);
    assert_wanted(folder, "b", "", 0,
                  "@: tensor b is in both " ONE " and " TWO ", and they differ");
    folder = new_folder();
    write_config(folder);
    const char *path = path_in(folder, "model.safetensors");
    write_safetensors(path, "{" TENSOR("r.x", "0", "8") "," TENSOR("x", "8", "16") "}", 16, 0);
    assert_wanted(folder, "r.x", "r.", 0, "@: tensors r.x and x should be one and differ");
    assert_wanted(folder, "x", "", 8, NULL);
    write_safetensors(path, "{" TENSOR("module.x", "0", "8") "," TENSOR("x", "8", "16") "}", 16, 0);
    assert_wanted(folder, "x", "", 0,
                  "@/model.safetensors has tensor x twice, wrapped or not, and they differ");
}

static void test_spellings(void **state) {
    (void)state;
    static const struct {
        const char *file, *name, *root;
        bool found;
    } cases[] = {
        {"model.e.w", "model.e.w", "model.", true},
        {"e.w", "model.e.w", "model.", true},
        {"model.model.e.w", "model.e.w", "model.", true},
        {"module.model._orig_mod.model.module.e.w", "model.e.w", "model.", true},
        {"base_model.model.model.e.w", "model.e.w", "model.", true},
        {"pretrained_model.model.e.w", "model.e.w", "model.", true},
        {"model.transformer.h.0.w", "h.0.w", "transformer.", true},
        {"model.lm_head.w", "lm_head.w", "model.", true},
        {"model.model.model.e.w", "model.e.w", "model.", false},
        {"x.e.w", "model.e.w", "model.", false},
        {"module", "module", "", true},
        {"a.module", "a.module", "", true},
        {"amodule.b", "amodule.b", "", true},
        {"a.b", "model.a.b", "", false},
    };
    char *folder = new_folder();
    write_config(folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[256];
        snprintf(json, sizeof json,
                 "{\"%s\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
                 cases[i].file);
        write_safetensors(path_in(folder, "model.safetensors"), json, 8, 5);
        struct tr_checkpoint *checkpoint = open_good(folder);
        const struct tr_tensor *tensor = NULL;
        struct tr_err err;
        assert_int_equal(
            tr_checkpoint_want(checkpoint, cases[i].name, cases[i].root, &tensor, &err), TR_OK);
        if (!tensor == cases[i].found)
            fail_msg("%s as %s", cases[i].file, cases[i].name);
        tr_checkpoint_close(checkpoint);
    }
}

static void test_metadata(void **state) {
    (void)state;
    char *folder = new_folder();
    write_config(folder);
    write_safetensors(path_in(folder, "model.safetensors"),
                      "{\"__metadata__\": null ," TENSOR("a", "0", "8") "}", 8, 1);
    assert_wanted(folder, "a", "", 1, NULL);
    write_safetensors(path_in(folder, "model.safetensors"),
                      "{\"__metadata__\":nul," TENSOR("a", "0", "8") "}", 8, 1);
    assert_refused(folder, TR_EFORMAT,
                   "@/model.safetensors: malformed JSON at byte 16: expected '{', found 'n'");
}

// Descriptors of one process: those of a checkpoint of many shards stay few.
static int count_open(void) {
    int count = 0;
    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_many_shards_are_few_open_files(void **state) {
    (void)state;
    enum { SHARDS = 1200 };
    char *folder = new_folder(), *index = malloc(SHARDS * 64);
    assert_non_null(index);
    size_t at = (size_t)sprintf(index, "{\"weight_map\":{");
    write_config(folder);
    for (int i = 0; i < SHARDS; i++) {
        char name[32], json[128];
        snprintf(name, sizeof name, "s%d", i);
        snprintf(json, sizeof json,
                 "{\"t%d\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}", i);
        write_safetensors(path_in(folder, name), json, 8, i % 200);
        at += (size_t)sprintf(index + at, "%s\"t%d\":\"s%d\"", i ? "," : "", i, i);
    }
    strcpy(index + at, "}}");
    write_text(path_in(folder, INDEX), index);
    free(index);
    int before = count_open();
    struct tr_checkpoint *checkpoint = open_good(folder);
    assert_true(count_open() - before <= 32);
    for (int i = 0; i < SHARDS; i++) {
        char name[32], path[32];
        snprintf(name, sizeof name, "t%d", i);
        snprintf(path, sizeof path, "s%d", i);
        assert_tensor(checkpoint, name, path_in(folder, path), i % 200);
    }
    assert_true(count_open() - before <= 32);
    struct tr_err err = {.text = ""};
    assert_int_equal(tr_checkpoint_unchanged(checkpoint, &err), TR_OK);
    // one that was closed meanwhile is another file when it is opened again
    write_text(path_in(folder, "s5"), "other");
    const struct tr_tensor *tensor = tr_checkpoint_find(checkpoint, "t5");
    char byte;
    assert_int_equal(tr_checkpoint_read(checkpoint, tensor, 0, &byte, 1, &err), TR_EIO);
    assert_string_equal(err.text, expand(folder, "@/s5 changed while it was read"));
    assert_int_equal(tr_checkpoint_unchanged(checkpoint, &err), TR_EIO);
    tr_checkpoint_close(checkpoint);
    assert_int_equal(count_open(), before);
}

// Whatever of a file's size, times or place changes, the checkpoint is not what was opened.
static void test_changes(void **state) {
    (void)state;
    static const char *const files[] = {ONE, TWO, INDEX, "config.json"};
    for (int change = 0; change < 4; change++)
        for (int i = 0; i < 4; i++) {
            char *folder = sharded_folder(), *path = path_in(folder, files[i]);
            char *aside = path_in(folder, "aside");
            struct tr_err err = {.text = ""};
            struct tr_checkpoint *checkpoint = open_good(folder);
            assert_int_equal(tr_checkpoint_unchanged(checkpoint, &err), TR_OK);
            const struct timespec times[2] = {{1000, 0}, {1000, 1}};
            if (change == 0)
                assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
            if (change == 1)
                assert_int_equal(truncate(path, 1), 0);
            if (change == 2) {
                write_text(aside, "another");
                assert_int_equal(rename(aside, path), 0);
            }
            if (change == 3)
                assert_int_equal(unlink(path), 0);
            assert_int_equal(tr_checkpoint_unchanged(checkpoint, &err), TR_EIO);
            assert_non_null(strstr(err.text, " changed while it was read"));
            assert_non_null(strstr(err.text, files[i]));
            tr_checkpoint_close(checkpoint);
        }
}

static void test_the_choice_is_said(void **state) {
    (void)state;
    char *folder = single_folder();
    struct tr_checkpoint *checkpoint = open_good(folder);
    assert_string_equal(tr_checkpoint_choice(checkpoint), "");
    tr_checkpoint_close(checkpoint);
    write_text(path_in(folder, "pytorch_model.bin"), "not looked at");
    write_text(path_in(folder, "model.pt"), "not looked at");
    checkpoint = open_good(folder);
    assert_string_equal(tr_checkpoint_choice(checkpoint),
                        "model.safetensors is read, not pytorch_model.bin or model.pt");
    tr_checkpoint_close(checkpoint);
    struct tr_err err = {.text = ""};
    assert_int_equal(unlink(path_in(folder, "model.safetensors")), 0);
    assert_int_equal(tr_checkpoint_peek(&checkpoint, folder, NULL, &err), TR_OK);
    assert_string_equal(tr_checkpoint_choice(checkpoint),
                        "pytorch_model.bin is read, not model.pt");
    assert_int_equal(tr_checkpoint_tensor_count(checkpoint), 0);
    tr_checkpoint_close(checkpoint);
}

static void identity_of(const char *folder, char out[TR_DIGEST_MAX]) {
    struct tr_checkpoint *checkpoint = open_good(folder);
    tr_checkpoint_identity(checkpoint, out);
    tr_checkpoint_close(checkpoint);
}

static void set_time(const char *path, long nanoseconds) {
    const struct timespec times[2] = {{1000, 0}, {1000, nanoseconds}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

// Two identities, before and after; one nanosecond of any weight file or of the index counts.
static void test_identity(void **state) {
    (void)state;
    static const char *const files[] = {ONE, TWO, INDEX};
    char *folder = sharded_folder(), before[TR_DIGEST_MAX], after[TR_DIGEST_MAX];
    for (int i = 0; i < 3; i++)
        set_time(path_in(folder, files[i]), 0);
    identity_of(folder, before);
    identity_of(folder, after);
    assert_string_equal(before, after);
    for (int i = 0; i < 3; i++) {
        set_time(path_in(folder, files[i]), 1);
        identity_of(folder, after);
        assert_string_not_equal(before, after);
        set_time(path_in(folder, files[i]), 0);
        identity_of(folder, after);
        assert_string_equal(before, after);
    }
    // same size and time, another header
    write_safetensors(path_in(folder, TWO),
                      "{" TENSOR("b", "0", "8") "," TENSOR("c", "8", "16") "}", 16, 20);
    set_time(path_in(folder, TWO), 0);
    identity_of(folder, after);
    assert_string_not_equal(before, after);
}

static void test_a_real_checkpoint(void **state) {
    (void)state;
    struct tr_checkpoint *checkpoint = open_good("tests/series/demo/step_0");
    const struct tr_tensor *tensor = tr_checkpoint_find(checkpoint, "model.embed_tokens.weight");
    assert_non_null(tensor);
    assert_int_equal(tensor->dtype, TR_BF16);
    assert_int_equal(tensor->dims, 2);
    assert_int_equal(tensor->shape[0], 768);
    assert_int_equal(tensor->shape[1], 64);
    tr_checkpoint_close(checkpoint);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single),
        cmocka_unit_test(test_reading_beyond_a_tensor),
        cmocka_unit_test(test_sharded),
        cmocka_unit_test(test_seventy_two_shards),
        cmocka_unit_test(test_folders_without_a_checkpoint),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_damaged_weights),
        cmocka_unit_test(test_damaged_indexes),
        cmocka_unit_test(test_damaged_shards),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_shards_in_folders),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_many_shards_are_few_open_files),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_the_choice_is_said),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_a_real_checkpoint),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
