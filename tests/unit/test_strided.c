// SPDX-License-Identifier: Apache-2.0
// Reading of strided tensors against the obvious loop, over random views and random ranges.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "pieces.h"
#include "strided.h"

enum { FILE_SIZE = 3 << 20, RANGES = 20 };

struct fixture {
    int fd;
    unsigned char *bytes; // [FILE_SIZE], the file
};

static uint32_t random_state = 20260131;

static uint32_t draw(uint32_t below) {
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)random_state * below >> 32);
}

static int open_file(void **state) {
    static struct fixture fixture;
    fixture.bytes = malloc(FILE_SIZE);
    fixture.fd = memfd_create("data", 0);
    if (!fixture.bytes || fixture.fd < 0)
        return -1;
    for (size_t i = 0; i < FILE_SIZE; i++)
        fixture.bytes[i] = (unsigned char)draw(256);
    *state = &fixture;
    return write(fixture.fd, fixture.bytes, FILE_SIZE) == FILE_SIZE ? 0 : -1;
}

static int close_file(void **state) {
    struct fixture *fixture = *state;
    close(fixture->fd);
    free(fixture->bytes);
    return 0;
}

// A tensor with a name of its own for failures; sizes in elements.
static struct tr_tensor view(int dims, const int64_t *shape, const int64_t *strides,
                             uint64_t element, uint64_t offset) {
    struct tr_tensor tensor = {
        .name = "t", .dims = dims, .bytes = element, .strided = true, .piece = {.offset = offset}};
    for (int i = 0; i < dims; i++) {
        tensor.shape[i] = tensor.piece.shape[i] = shape[i];
        tensor.piece.strides[i] = strides[i];
        tensor.bytes *= (uint64_t)shape[i];
    }
    return tensor;
}

// The obvious loop: row-major bytes of the whole view.
static void gather(const struct fixture *fixture, const struct tr_tensor *tensor, uint64_t element,
                   unsigned char *to) {
    for (uint64_t i = 0; i < tensor->bytes / element; i++) {
        uint64_t index = i, at = 0;
        for (int d = tensor->dims; d-- > 0; index /= (uint64_t)tensor->shape[d])
            at += index % (uint64_t)tensor->shape[d] * (uint64_t)tensor->piece.strides[d];
        memcpy(to + i * element, fixture->bytes + tensor->piece.offset + at * element, element);
    }
}

static void check_range(const struct fixture *fixture, const struct tr_tensor *tensor,
                        const unsigned char *expected, uint64_t begin, uint64_t size) {
    struct tr_err err = {.text = ""};
    unsigned char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    bytes[size] = 0x5a;
    struct tr_weight_file file = {.path = (char[]){"data"}, .fd = fixture->fd};
    struct tr_checkpoint checkpoint = {.files = &file, .file_count = 1};
    if (tr_pieces_read(&checkpoint, tensor, begin, bytes, size, &err))
        fail_msg("%s", err.text);
    assert_memory_equal(bytes, expected + begin, size);
    assert_int_equal(bytes[size], 0x5a);
    free(bytes);
}

static void check(const struct fixture *fixture, const struct tr_tensor *tensor, uint64_t element) {
    assert_in_range(tensor->piece.offset + tr_piece_span(tensor, &tensor->piece), 1, FILE_SIZE);
    unsigned char *expected = malloc(tensor->bytes);
    assert_non_null(expected);
    gather(fixture, tensor, element, expected);
    check_range(fixture, tensor, expected, 0, tensor->bytes);
    for (int i = 0; i < RANGES; i++) {
        uint64_t begin = draw((uint32_t)tensor->bytes), left = tensor->bytes - begin;
        check_range(fixture, tensor, expected, begin, draw((uint32_t)left + 1));
    }
    free(expected);
}

static void test_large_views(void **state) {
    static const struct {
        int dims;
        int64_t shape[4], strides[4];
        uint64_t element;
    } cases[] = {
        {2, {300, 2000}, {1, 300}, 4},                // a transposed matrix
        {2, {700, 301}, {1000, 3}, 4},                // every third column
        {2, {900, 1}, {800, 1}, 4},                   // one column: windows would be nearly empty
        {2, {20, 50000}, {0, 1}, 2},                  // one row again and again
        {2, {50000, 20}, {1, 0}, 2},                  // each element again and again
        {2, {2, 100000}, {150000, 1}, 8},             // rows longer than a window
        {1, {300000}, {5}, 2},                        // longer than a window, with holes
        {3, {64, 2, 256}, {512, 1, 2}, 4},            // interleaved pairs
        {4, {17, 19, 23, 29}, {1, 17, 323, 7429}, 8}, // all dimensions the other way round
        {4, {7, 1, 5, 64}, {64, 9, 500, 1}, 8},       // overlapping rows
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_tensor tensor =
            view(cases[i].dims, cases[i].shape, cases[i].strides, cases[i].element, 24);
        assert_false(tr_is_row_major(tensor.dims, tensor.shape, tensor.piece.strides));
        check(*state, &tensor, cases[i].element);
    }
}

static void test_random_views(void **state) {
    for (int i = 0; i < 300; i++) {
        int dims = 1 + (int)draw(TR_MAX_DIMS);
        int64_t shape[TR_MAX_DIMS], strides[TR_MAX_DIMS];
        for (int d = 0; d < dims; d++) {
            shape[d] = 1 + draw(dims < 4 ? 9 : 4);
            strides[d] = draw(draw(4) ? 30 : 5000);
        }
        uint64_t element = UINT64_C(1) << draw(4);
        struct tr_tensor tensor = view(dims, shape, strides, element, draw(100));
        check(*state, &tensor, element);
    }
}

static void test_what_is_row_major(void **state) {
    (void)state;
    static const struct {
        int dims;
        int64_t shape[3], strides[3];
        bool row_major;
    } cases[] = {
        {0, {0}, {0}, true},
        {1, {5}, {1}, true},
        {1, {5}, {2}, false},
        {1, {1}, {7}, true}, // a stride that is never taken
        {2, {3, 4}, {4, 1}, true},
        {2, {3, 4}, {5, 1}, false},
        {2, {3, 4}, {1, 3}, false},
        {2, {3, 4}, {0, 1}, false},
        {3, {3, 1, 4}, {4, 99, 1}, true},
        {3, {1, 3, 4}, {0, 4, 1}, true},
        {3, {2, 3, 4}, {12, 4, 1}, true},
        {3, {2, 3, 4}, {4, 8, 1}, false},
        {2, {0, 4}, {9, 9}, true}, // no elements, any order
        {3, {INT64_MAX, INT64_MAX, 2}, {INT64_MAX, 2, 1}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(tr_is_row_major(cases[i].dims, cases[i].shape, cases[i].strides),
                         cases[i].row_major);
}

static void test_a_file_that_ends_early(void **state) {
    struct fixture *fixture = *state;
    struct tr_tensor tensor = view(2, (int64_t[]){10, 10}, (int64_t[]){1, 10}, 4, FILE_SIZE - 399);
    struct tr_err err;
    char bytes[400];
    struct tr_weight_file file = {.path = (char[]){"data"}, .fd = fixture->fd};
    struct tr_checkpoint checkpoint = {.files = &file, .file_count = 1};
    assert_int_equal(tr_pieces_read(&checkpoint, &tensor, 0, bytes, sizeof bytes, &err), TR_EIO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_views),
        cmocka_unit_test(test_random_views),
        cmocka_unit_test(test_what_is_row_major),
        cmocka_unit_test(test_a_file_that_ends_early),
    };
    return cmocka_run_group_tests(tests, open_file, close_file);
}
