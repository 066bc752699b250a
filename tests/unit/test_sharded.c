// SPDX-License-Identifier: Apache-2.0
// A sharded checkpoint gives the slabs and the digest of the whole one. Its format is a row that
// only this test knows: three files, no config.json, tensors cut in turn by rows, by columns, by
// both, flattened, and interleaved; the places are in memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"
#include "pieces.h"
#include "slab_fill.h"

enum { SHARDS = 3, TENSORS = 256, PIECES = 4 * TR_MAX_DIMS };

static struct tr_err err;

#define OK(call) assert_ok((call), __LINE__)
static void assert_ok(enum tr_status status, int line) {
    if (status != TR_OK)
        fail_msg("line %d: %s", line, err.text);
}

static struct sharded {
    struct tr_tensor tensor;
    struct tr_piece pieces[PIECES];
    int count;
} tensors[TENSORS];
static int64_t tensor_count;
static const char *config;
static size_t config_size;

// ---- the format --------------------------------------------------------------------------------

static enum tr_status read_shards(struct tr_checkpoint *checkpoint, const char *name,
                                  struct tr_err *e) {
    for (int i = 0; i < SHARDS; i++) {
        struct tr_weight_file *file;
        char shard[16];
        snprintf(shard, sizeof shard, "%d.shard", i);
        TR_TRY(tr_checkpoint_add_file(checkpoint, shard, &file, e));
        TR_TRY(tr_checkpoint_stamp(checkpoint, shard, &file->info, name, strlen(name), e));
    }
    for (int64_t i = tensor_count; i-- > 0;)
        TR_TRY(tr_checkpoint_add_pieces(checkpoint, &tensors[i].tensor, tensors[i].pieces,
                                        tensors[i].count, e));
    return tr_checkpoint_sort(checkpoint, e);
}

static enum tr_status configure(struct tr_checkpoint *checkpoint, const char *name,
                                struct tr_err *e) {
    return tr_checkpoint_set_config(checkpoint, name, config, config_size, e);
}

static const struct tr_format format = {
    .name = "0.shard", .read = read_shards, .configure = configure};

// ---- its writer --------------------------------------------------------------------------------

// rows x cols of the tensor: a vector has one column.
static int64_t rows_of(const struct tr_tensor *tensor) {
    return tensor->shape[0];
}

static int64_t cols_of(const struct tr_tensor *tensor) {
    return tensor->dims > 1 ? tensor->shape[1] : 1;
}

static struct tr_piece *add(struct sharded *to, int file, int64_t row, int64_t rows, int64_t col,
                            int64_t cols) {
    struct tr_piece *piece = &to->pieces[to->count++];
    assert_in_range(to->count, 1, PIECES);
    *piece = (struct tr_piece){.file = file, .begin = {row, col}, .shape = {rows, cols}};
    tr_row_major_strides(to->tensor.dims, piece->shape, piece->strides);
    return piece;
}

static void cut_by_rows(struct sharded *to) {
    int64_t rows = rows_of(&to->tensor), each = (rows + SHARDS - 1) / SHARDS;
    for (int i = SHARDS; i-- > 0;) {
        int64_t first = each * i < rows ? each * i : rows;
        int64_t here = rows - first < each ? rows - first : each;
        add(to, i, first, here, 0, cols_of(&to->tensor));
    }
}

static void cut_by_columns(struct sharded *to) {
    int64_t rows = rows_of(&to->tensor), cols = cols_of(&to->tensor);
    add(to, 2, 0, rows, cols / 3, cols - cols / 3);
    add(to, 1, 0, rows, 0, cols / 3);
}

static void cut_both_ways(struct sharded *to) {
    int64_t rows = rows_of(&to->tensor), cols = cols_of(&to->tensor);
    int64_t row = 1 + rows / 5, col = cols / 2;
    add(to, 0, row, rows - row, col, cols - col);
    add(to, 1, 0, row, 0, col);
    add(to, 2, row, rows - row, 0, col);
    add(to, 1, 0, row, col, cols - col);
}

static void cut_flattened(struct sharded *to) {
    uint64_t all = (uint64_t)(rows_of(&to->tensor) * cols_of(&to->tensor)), done = all / 3 + 1;
    to->count = tr_pieces_of_run(&to->tensor, 0, done, 2, 0, to->pieces);
    to->count += tr_pieces_of_run(&to->tensor, done, all - done, 0, 0, to->pieces + to->count);
    assert_in_range(to->count, 2, PIECES);
}

// The odd rows behind the even ones in the tensor, in pairs in the file.
static void cut_interleaved(struct sharded *to) {
    int64_t rows = rows_of(&to->tensor), cols = cols_of(&to->tensor);
    assert_int_equal(rows % 2, 0);
    add(to, 1, 0, rows / 2, 0, cols)->strides[0] = 2 * cols;
    add(to, 1, rows / 2, rows / 2, 0, cols)->strides[0] = 2 * cols;
}

// Writes the piece's elements behind each other, or where its strides say.
static void write_piece(FILE *file, const struct tr_tensor *tensor, const struct tr_piece *piece,
                        const char *bytes) {
    size_t element = tr_dtype_size(tensor->dtype);
    int64_t cols = tensor->dims > 1 ? piece->shape[1] : 1;
    for (int64_t row = 0; row < piece->shape[0]; row++) {
        const char *from = bytes + (size_t)((piece->begin[0] + row) * cols_of(tensor) +
                                            (tensor->dims > 1 ? piece->begin[1] : 0)) *
                                       element;
        assert_int_equal(
            fseek(file, (long)(piece->offset + (uint64_t)(row * piece->strides[0]) * element),
                  SEEK_SET),
            0);
        assert_int_equal(fwrite(from, element, (size_t)cols, file), cols);
    }
}

static void shard(FILE *files[SHARDS], struct sharded *to, const char *bytes, int64_t way) {
    static void (*const cuts[])(struct sharded *) = {cut_by_rows, cut_by_columns, cut_both_ways,
                                                     cut_flattened, cut_interleaved};
    enum { CUTS = sizeof cuts / sizeof *cuts };
    cuts[to->tensor.dims > 1 ? way % CUTS : 0](to);
    int64_t interleaved = 0;
    for (int i = 0; i < to->count; i++) {
        struct tr_piece *piece = &to->pieces[i];
        assert_int_equal(fseek(files[piece->file], 0, SEEK_END), 0);
        uint64_t end = (uint64_t)ftell(files[piece->file]);
        bool pair = piece->strides[0] == 2 * cols_of(&to->tensor);
        piece->offset = pair && interleaved++
                            ? to->pieces[0].offset +
                                  (uint64_t)cols_of(&to->tensor) * tr_dtype_size(to->tensor.dtype)
                            : end;
        write_piece(files[piece->file], &to->tensor, piece, bytes);
    }
}

static void write_shards(struct tr_checkpoint *whole, const char *folder) {
    FILE *files[SHARDS];
    char path[3 * FOLDER_PATH];
    for (int i = 0; i < SHARDS; i++) {
        snprintf(path, sizeof path, "%s/%d.shard", folder, i);
        assert_non_null(files[i] = fopen(path, "wb+"));
    }
    config = tr_checkpoint_config(whole, &config_size);
    tensor_count = tr_checkpoint_tensor_count(whole);
    assert_in_range(tensor_count, 1, TENSORS);
    for (int64_t i = 0; i < tensor_count; i++) {
        const struct tr_tensor *tensor = tr_checkpoint_tensor(whole, i);
        char *bytes = malloc(tensor->bytes);
        assert_non_null(bytes);
        OK(tr_checkpoint_read(whole, tensor, 0, bytes, tensor->bytes, &err));
        tensors[i] = (struct sharded){.tensor = *tensor};
        shard(files, &tensors[i], bytes, i);
        free(bytes);
    }
    for (int i = 0; i < SHARDS; i++)
        assert_int_equal(fclose(files[i]), 0);
}

// ---- slabs -------------------------------------------------------------------------------------

static void plan(struct tr_weight_plan *to, struct tr_checkpoint *checkpoint) {
    const struct tr_wanted wanted = {.head = true};
    struct tr_config parsed;
    size_t size;
    const char *json = tr_checkpoint_config(checkpoint, &size);
    OK(tr_config_parse(&parsed, json, size, tr_checkpoint_config_path(checkpoint), &err));
    OK(tr_weight_plan_new(to, &parsed, checkpoint, "folder", &wanted, &err));
}

static void compare(struct tr_checkpoint *whole, struct tr_checkpoint *sharded, int readers) {
    struct tr_checkpoint *both[] = {whole, sharded};
    struct tr_weight_plan plans[2];
    struct tr_filler *fillers[2];
    char digests[2][TR_DIGEST_MAX];
    for (int i = 0; i < 2; i++) {
        plan(&plans[i], both[i]);
        OK(tr_filler_new(&fillers[i], readers, &err));
    }
    assert_int_equal(plans[0].count, plans[1].count);
    for (int64_t s = 0; s < plans[0].count; s++) {
        size_t bytes = plans[0].slabs[s].bytes;
        char *memory[2];
        assert_int_equal(plans[1].slabs[s].bytes, bytes);
        for (int i = 0; i < 2; i++) {
            assert_non_null(memory[i] = calloc(1, bytes));
            OK(tr_filler_fill(fillers[i], both[i], &plans[i].slabs[s], memory[i], &err));
        }
        assert_memory_equal(memory[0], memory[1], bytes);
        free(memory[0]);
        free(memory[1]);
    }
    for (int i = 0; i < 2; i++) {
        OK(tr_filler_digest(fillers[i], digests[i], &err));
        tr_filler_free(fillers[i]);
        tr_weight_plan_free(&plans[i]);
    }
    assert_string_equal(digests[0], digests[1]);
}

static void check(const char *source, const char *name) {
    struct tr_checkpoint *whole, *sharded;
    char *folder = make_folder(name);
    OK(tr_checkpoint_open(&whole, source, &err));
    write_shards(whole, folder);
    OK(tr_checkpoint_open_as(&sharded, folder, &format, &err));
    assert_int_equal(tr_checkpoint_tensor_count(sharded), tensor_count);
    int64_t in_pieces = 0;
    for (int64_t i = 0; i < tensor_count; i++) {
        int64_t count;
        tr_tensor_pieces(tr_checkpoint_tensor(sharded, i), &count);
        in_pieces += count > 1;
    }
    assert_int_equal(in_pieces, tensor_count);
    compare(whole, sharded, 1);
    compare(whole, sharded, 4); // as many threads as fill a device's slabs
    tr_checkpoint_close(sharded);
    tr_checkpoint_close(whole);
}

static void test_the_same_slabs(void **state) {
    (void)state;
    check("tests/series/demo/step_512", "demo");
    check("tests/series/neox/step_512", "neox");
}

// A lost shard leaves a hole, which is no zero.
static void test_a_missing_piece(void **state) {
    (void)state;
    struct tr_checkpoint *whole, *sharded = NULL;
    char *folder = make_folder("hole");
    OK(tr_checkpoint_open(&whole, "tests/series/demo/step_512", &err));
    write_shards(whole, folder);
    tensors[3].count--;
    assert_int_equal(tr_checkpoint_open_as(&sharded, folder, &format, &err), TR_EFORMAT);
    assert_non_null(strstr(err.text, tensors[3].tensor.name));
    assert_non_null(strstr(err.text, " elements are in no piece"));
    tr_checkpoint_close(whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_slabs),
        cmocka_unit_test(test_a_missing_piece),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
