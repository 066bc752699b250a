// SPDX-License-Identifier: Apache-2.0
// Tensors made of pieces, by a format that only this test knows: what is read of them, whatever
// their cut and their order, and which pieces are refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"
#include "pieces.h"

enum { FILES = 3, FILE_SIZE = 1 << 20, MOST_PIECES = 64, RANGES = 40 };

static uint32_t random_state = 20260917;

static uint32_t draw(uint32_t below) {
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)random_state * below >> 32);
}

// ---- a format of three files, which holds what the test put here --------------------------------

static char name_of_the_tensor[] = "w";

static struct {
    struct tr_tensor tensor;
    struct tr_piece pieces[MOST_PIECES];
    int64_t count;
    unsigned char files[FILES][FILE_SIZE];
    uint64_t sizes[FILES]; // used of them
} made;

static enum tr_status read_made(struct tr_checkpoint *checkpoint, const char *name,
                                struct tr_err *err) {
    (void)name;
    for (int i = 0; i < FILES; i++) {
        struct tr_weight_file *file;
        char shard[16];
        snprintf(shard, sizeof shard, "shard%d", i);
        TR_TRY(tr_checkpoint_add_file(checkpoint, shard, &file, err));
    }
    TR_TRY(tr_checkpoint_add_pieces(checkpoint, &made.tensor, made.pieces, made.count, err));
    checkpoint->step = 1234;
    return tr_checkpoint_sort(checkpoint, err);
}

static enum tr_status configure_made(struct tr_checkpoint *checkpoint, const char *name,
                                     struct tr_err *err) {
    return tr_checkpoint_set_config(checkpoint, name, "{\"a\": 1}", 8, err);
}

static const struct tr_format format = {
    .name = "shard0", .read = read_made, .configure = configure_made};

// ---- tensors -----------------------------------------------------------------------------------

static uint64_t volume(int dims, const int64_t *shape) {
    uint64_t count = 1;
    for (int i = 0; i < dims; i++)
        count *= (uint64_t)shape[i];
    return count;
}

static void start(int dims, const int64_t *shape, enum tr_dtype dtype) {
    memset(&made, 0, sizeof made);
    made.tensor = (struct tr_tensor){.name = name_of_the_tensor, .dtype = dtype, .dims = dims};
    strcpy(made.tensor.dtype_text, "F32");
    memcpy(made.tensor.shape, shape, (size_t)dims * sizeof *shape);
    made.tensor.bytes = volume(dims, shape) * tr_dtype_size(dtype);
}

// Adds a box whose elements follow one another at the end of a file, in row order.
static struct tr_piece *add(int file, const int64_t *begin, const int64_t *shape) {
    struct tr_piece *piece = &made.pieces[made.count++];
    int dims = made.tensor.dims;
    assert_in_range(made.count, 1, MOST_PIECES);
    *piece = (struct tr_piece){.file = file, .offset = made.sizes[file]};
    memcpy(piece->begin, begin, (size_t)dims * sizeof *begin);
    memcpy(piece->shape, shape, (size_t)dims * sizeof *shape);
    tr_row_major_strides(dims, shape, piece->strides);
    made.sizes[file] += volume(dims, shape) * tr_dtype_size(made.tensor.dtype);
    assert_in_range(made.sizes[file], 0, FILE_SIZE);
    return piece;
}

// Gives every element the value that its place in row order has in `expected`.
static void write_piece(const struct tr_piece *piece, const unsigned char *expected) {
    const struct tr_tensor *tensor = &made.tensor;
    size_t element = tr_dtype_size(tensor->dtype);
    for (uint64_t i = 0; i < volume(tensor->dims, piece->shape); i++) {
        uint64_t rest = i, at = 0, to = 0, step = 1;
        for (int d = tensor->dims; d-- > 0; step *= (uint64_t)tensor->shape[d]) {
            uint64_t index = rest % (uint64_t)piece->shape[d];
            rest /= (uint64_t)piece->shape[d];
            at += (index + (uint64_t)piece->begin[d]) * step;
            to += index * (uint64_t)piece->strides[d];
        }
        memcpy(made.files[piece->file] + piece->offset + to * element, expected + at * element,
               element);
    }
}

static char *write_shards(void) {
    static int count;
    char name[32], path[3 * FOLDER_PATH];
    snprintf(name, sizeof name, "sharded%d", count++);
    char *folder = make_folder(name);
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/shard%d", folder, i);
        write_file(path, made.files[i], made.sizes[i]);
    }
    return folder;
}

static void check_range(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor,
                        const unsigned char *expected, uint64_t begin, size_t size) {
    struct tr_err err = {.text = ""};
    unsigned char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    memset(bytes, 0x5a, size + 1);
    if (tr_checkpoint_read(checkpoint, tensor, begin, bytes, size, &err))
        fail_msg("%s", err.text);
    assert_memory_equal(bytes, expected + begin, size);
    assert_int_equal(bytes[size], 0x5a);
    free(bytes);
}

static void shuffle(void) {
    for (int64_t i = made.count; i > 1; i--) {
        int64_t other = draw((uint32_t)i);
        struct tr_piece piece = made.pieces[i - 1];
        made.pieces[i - 1] = made.pieces[other];
        made.pieces[other] = piece;
    }
}

// Reads the tensor whole and in random ranges.
static void check(void) {
    struct tr_checkpoint *checkpoint;
    struct tr_err err = {.text = ""};
    uint64_t bytes = made.tensor.bytes;
    unsigned char *expected = malloc(bytes + 1);
    assert_non_null(expected);
    for (uint64_t i = 0; i < bytes; i++)
        expected[i] = (unsigned char)draw(256);
    for (int64_t i = 0; i < made.count; i++)
        write_piece(&made.pieces[i], expected);
    shuffle();
    if (tr_checkpoint_open_as(&checkpoint, write_shards(), &format, &err))
        fail_msg("%s", err.text);
    const struct tr_tensor *tensor = tr_checkpoint_find(checkpoint, "w");
    assert_non_null(tensor);
    tr_checkpoint_will_read(checkpoint, tensor);
    check_range(checkpoint, tensor, expected, 0, bytes);
    for (int i = 0; i < RANGES && bytes; i++) {
        uint64_t begin = draw((uint32_t)bytes);
        check_range(checkpoint, tensor, expected, begin, draw((uint32_t)(bytes - begin) + 1));
    }
    tr_checkpoint_close(checkpoint);
    free(expected);
}

// ---- tests -------------------------------------------------------------------------------------

#define AT(...) ((const int64_t[]){__VA_ARGS__})

static void test_rows_and_columns(void **state) {
    (void)state;
    start(1, AT(1000), TR_F32); // as FSDP cuts: the last one is shorter
    add(0, AT(0), AT(334));
    add(1, AT(334), AT(334));
    add(2, AT(668), AT(332));
    check();
    start(2, AT(64, 48), TR_BF16); // rows, and a rank that has none
    add(0, AT(0, 0), AT(22, 48));
    add(1, AT(22, 0), AT(22, 48));
    add(2, AT(44, 0), AT(20, 48));
    add(2, AT(64, 0), AT(0, 48));
    check();
    start(2, AT(300, 700), TR_F32); // columns
    add(0, AT(0, 0), AT(300, 350));
    add(1, AT(0, 350), AT(300, 1));
    add(2, AT(0, 351), AT(300, 349));
    check();
    start(2, AT(50, 70), TR_F64); // both
    add(2, AT(0, 0), AT(17, 35));
    add(0, AT(0, 35), AT(17, 35));
    add(1, AT(17, 0), AT(33, 69));
    add(0, AT(17, 69), AT(33, 1));
    check();
}

static void test_interleaved_pieces(void **state) {
    (void)state;
    // Rows that one file has in pairs: each second row of a head, then those between.
    start(2, AT(16, 10), TR_F16);
    for (int64_t head = 0; head < 2; head++)
        for (int64_t half = 0; half < 2; half++) {
            struct tr_piece *piece = add(0, AT(head * 8 + half * 4, 0), AT(4, 10));
            piece->offset = (uint64_t)((head * 8 + half) * 10 * 2);
            piece->strides[0] = 20;
        }
    check();
    // One layer of a stack that is transposed in the file.
    start(2, AT(30, 20), TR_F32);
    struct tr_piece *piece = add(1, AT(0, 0), AT(30, 20));
    piece->offset = 4 * 600;
    piece->strides[0] = 1;
    piece->strides[1] = 30;
    made.sizes[1] = 3 * 4 * 600;
    check();
    assert_int_equal(made.count, 1);
}

static void test_small_tensors(void **state) {
    (void)state;
    start(0, AT(0), TR_F32);
    add(1, AT(0), AT(0));
    check();
    start(2, AT(0, 7), TR_F32);
    check();
    start(2, AT(0, 7), TR_F32);
    add(1, AT(0, 0), AT(0, 7));
    check();
    start(1, AT(1), TR_F64);
    add(1, AT(0), AT(1));
    check();
}

// Cuts a box at random, until it is small or few pieces are left.
static void cut_at_random(const int64_t *begin, const int64_t *shape, int depth) {
    int dims = made.tensor.dims, dim = (int)draw((uint32_t)dims);
    if (!depth || shape[dim] < 2) {
        struct tr_piece *piece = add((int)draw(FILES), begin, shape);
        if (draw(4) || dims < 2)
            return;
        int64_t first = piece->shape[0]; // the first dimension as the innermost
        int64_t rest[TR_MAX_DIMS];
        memcpy(rest, piece->shape, sizeof rest);
        rest[0] = 1;
        tr_row_major_strides(dims, rest, piece->strides);
        for (int i = 1; i < dims; i++)
            piece->strides[i] *= first;
        piece->strides[0] = 1;
        return;
    }
    int64_t low[TR_MAX_DIMS] = {0}, part[TR_MAX_DIMS] = {0};
    memcpy(low, begin, (size_t)dims * sizeof *low);
    memcpy(part, shape, (size_t)dims * sizeof *part);
    part[dim] = 1 + draw((uint32_t)shape[dim] - 1);
    cut_at_random(low, part, depth - 1);
    low[dim] += part[dim];
    part[dim] = shape[dim] - part[dim];
    cut_at_random(low, part, depth - 1);
}

static void test_random_cuts(void **state) {
    (void)state;
    static const enum tr_dtype dtypes[] = {TR_F64, TR_F32, TR_BF16};
    for (int i = 0; i < 200; i++) {
        int64_t shape[TR_MAX_DIMS], zero[TR_MAX_DIMS] = {0};
        int dims = 1 + (int)draw(4);
        for (int d = 0; d < dims; d++)
            shape[d] = 1 + draw(dims == 1 ? 5000 : dims == 2 ? 150 : 12);
        start(dims, shape, dtypes[draw(3)]);
        cut_at_random(zero, shape, 1 + (int)draw(6));
        check();
    }
}

// A flattened tensor in parts of equal length, the last one padded, each in a file of its own.
static void test_parts_of_a_flattened_tensor(void **state) {
    (void)state;
    static const struct {
        int dims;
        int64_t shape[4];
    } cases[] = {{1, {1000}}, {2, {31, 17}}, {3, {5, 7, 11}}, {4, {3, 1, 9, 4}}, {1, {2}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start(cases[i].dims, cases[i].shape, TR_F32);
        uint64_t all = made.tensor.bytes / 4, part = (all + FILES - 1) / FILES;
        for (int f = 0; f < FILES; f++) {
            uint64_t first = part * (uint64_t)f, left = first < all ? all - first : 0;
            made.sizes[f] = 4 * (part + 10);
            made.count += tr_pieces_of_run(&made.tensor, first, left < part ? left : part, f, 40,
                                           made.pieces + made.count);
        }
        assert_in_range(made.count, 2, MOST_PIECES);
        check();
    }
}

static void test_where_the_step_and_the_configuration_come_from(void **state) {
    (void)state;
    struct tr_checkpoint *checkpoint;
    struct tr_err err = {.text = ""};
    char path[3 * FOLDER_PATH], expected[3 * FOLDER_PATH];
    size_t size;
    start(1, AT(2), TR_F32);
    add(0, AT(0), AT(2));
    char *folder = write_shards();
    assert_int_equal(tr_checkpoint_open_as(&checkpoint, folder, &format, &err), TR_OK);
    assert_string_equal(tr_checkpoint_config(checkpoint, &size), "{\"a\": 1}");
    assert_int_equal(size, 8);
    snprintf(expected, sizeof expected, "%s/shard0", folder);
    assert_string_equal(tr_checkpoint_config_path(checkpoint), expected);
    assert_int_equal(tr_checkpoint_step(checkpoint), 1234);
    tr_checkpoint_close(checkpoint);
    // A config.json goes first.
    snprintf(path, sizeof path, "%s/config.json", folder);
    write_text(path, "{}");
    assert_int_equal(tr_checkpoint_open_as(&checkpoint, folder, &format, &err), TR_OK);
    assert_string_equal(tr_checkpoint_config(checkpoint, &size), "{}");
    assert_string_equal(tr_checkpoint_config_path(checkpoint), path);
    tr_checkpoint_close(checkpoint);
}

static void assert_refused(enum tr_status code, const char *expected) {
    struct tr_checkpoint *checkpoint = NULL;
    struct tr_err err = {.text = "accepted"};
    char *folder = write_shards(), sentence[4 * FOLDER_PATH];
    enum tr_status status = tr_checkpoint_open_as(&checkpoint, folder, &format, &err);
    snprintf(sentence, sizeof sentence, "%s%s", folder, expected);
    assert_string_equal(err.text, sentence);
    assert_int_equal(status, code);
    assert_null(checkpoint);
}

// Four quarters of a matrix, in three files of 100 bytes more than that takes.
static void start_quarters(void) {
    start(2, AT(4, 6), TR_F32);
    add(0, AT(0, 0), AT(2, 3));
    add(1, AT(0, 3), AT(2, 3));
    add(2, AT(2, 0), AT(2, 3));
    add(0, AT(2, 3), AT(2, 3));
    for (int i = 0; i < FILES; i++)
        made.sizes[i] += 100;
}

static void test_gaps_and_overlaps(void **state) {
    (void)state;
    start_quarters();
    made.count = 3;
    assert_refused(TR_EFORMAT, ": tensor w: 6 of its 24 elements are in no piece");
    made.count = 0;
    assert_refused(TR_EFORMAT, ": tensor w: 24 of its 24 elements are in no piece");
    start_quarters();
    made.pieces[3].shape[1] = 2;
    assert_refused(TR_EFORMAT, ": tensor w: 2 of its 24 elements are in no piece");
    start_quarters();
    made.pieces[1].begin[1] = 2;
    assert_refused(TR_EFORMAT, ": tensor w: its pieces at [0, 0] in shard0 and at [0, 2] in shard1 "
                               "overlap");
    start_quarters(); // twice the same
    made.pieces[made.count++] = made.pieces[2];
    assert_refused(TR_EFORMAT, ": tensor w: its pieces at [2, 0] in shard2 and at [2, 0] in shard2 "
                               "overlap");
    start_quarters(); // as many elements as there are, one of them twice
    made.pieces[3].begin[0] = 1;
    assert_refused(TR_EFORMAT, ": tensor w: its pieces at [0, 3] in shard1 and at [1, 3] in shard0 "
                               "overlap");
    start(0, AT(0), TR_F32);
    add(0, AT(0), AT(0));
    add(1, AT(0), AT(0));
    assert_refused(TR_EFORMAT,
                   ": tensor w: its pieces at [] in shard0 and at [] in shard1 overlap");
}

static void test_pieces_that_cannot_be(void **state) {
    (void)state;
    static const char outside[] =
        ": tensor w has shape [4, 6]; its piece of shape [%s] at [%s] is not within it";
    static const struct {
        int64_t begin[2], shape[2];
        const char *text[2];
    } cases[] = {
        {{2, 4}, {2, 3}, {"2, 3", "2, 4"}},
        {{3, 3}, {2, 3}, {"2, 3", "3, 3"}},
        {{-1, 3}, {2, 3}, {"2, 3", "-1, 3"}},
        {{4, 3}, {2, 3}, {"2, 3", "4, 3"}},
        {{2, 3}, {-2, 3}, {"-2, 3", "2, 3"}},
        {{2, 3}, {2, INT64_MAX}, {"2, 9223372036854775807", "2, 3"}},
        {{INT64_MAX, 3}, {2, 3}, {"2, 3", "9223372036854775807, 3"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char sentence[256];
        start_quarters();
        memcpy(made.pieces[3].begin, cases[i].begin, sizeof cases[i].begin);
        memcpy(made.pieces[3].shape, cases[i].shape, sizeof cases[i].shape);
        snprintf(sentence, sizeof sentence, outside, cases[i].text[0], cases[i].text[1]);
        assert_refused(TR_EFORMAT, sentence);
    }
}

static void test_places_that_cannot_be(void **state) {
    (void)state;
    static const struct {
        int file;
        uint64_t offset;
        int64_t strides[2];
        const char *where;
    } cases[] = {
        {0, 48 + 100 - 23, {3, 1}, "shard0"}, // the last byte is missing
        {0, UINT64_MAX, {3, 1}, "shard0"},    {0, 24, {-3, 1}, "shard0"},
        {0, 24, {INT64_MAX, 1}, "shard0"},    {0, 0, {INT64_MAX, INT64_MAX / 2 + 2}, "shard0"},
        {2, 101, {3, 1}, "shard2"}, // a file of 124 bytes
        {3, 0, {3, 1}, "any file"},           {-1, 0, {3, 1}, "any file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char sentence[256];
        start_quarters();
        made.pieces[3].file = cases[i].file;
        made.pieces[3].offset = cases[i].offset;
        memcpy(made.pieces[3].strides, cases[i].strides, sizeof cases[i].strides);
        snprintf(sentence, sizeof sentence,
                 ": tensor w: its piece at [2, 3] does not fit into %s, where it should be",
                 cases[i].where);
        assert_refused(TR_EFORMAT, sentence);
    }
    start_quarters(); // up to the last byte
    made.pieces[3].offset = 48 + 100 - 24;
    check();
}

static void test_tensors_that_cannot_be(void **state) {
    (void)state;
    start(2, AT(INT64_MAX, 3), TR_F32);
    assert_refused(TR_EFORMAT, ": the shape of tensor w overflows");
    start(2, AT(-1, 3), TR_F32);
    assert_refused(TR_EFORMAT, ": the shape of tensor w overflows");
    start_quarters();
    made.tensor.bytes = 12; // four bits each
    strcpy(made.tensor.dtype_text, "F4");
    assert_refused(TR_EUNSUPPORTED, ": tensor w has type F4, which cannot be read in pieces");
    start(2, AT(0, 3), TR_F32);
    made.tensor.bytes = 12;
    assert_refused(TR_EUNSUPPORTED, ": tensor w has type F32, which cannot be read in pieces");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_and_columns),
        cmocka_unit_test(test_interleaved_pieces),
        cmocka_unit_test(test_small_tensors),
        cmocka_unit_test(test_random_cuts),
        cmocka_unit_test(test_parts_of_a_flattened_tensor),
        cmocka_unit_test(test_where_the_step_and_the_configuration_come_from),
        cmocka_unit_test(test_gaps_and_overlaps),
        cmocka_unit_test(test_pieces_that_cannot_be),
        cmocka_unit_test(test_places_that_cannot_be),
        cmocka_unit_test(test_tensors_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
