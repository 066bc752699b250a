// SPDX-License-Identifier: Apache-2.0
// Conversion between types, and copies that overlap with ops: host memory, lanes, events.
#include <math.h>
#include <string.h>

#include "support.h"

static void check_conversion(enum kn_type from_type, enum kn_type to_type, int64_t count) {
    static const float special[] = {NAN, INFINITY, -INFINITY, -0.F, 65520, 65519, 0x1p-25F, 1e-30F};
    float *values = host_new((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = i < (int64_t)TEST_ARRAY_SIZE(special) ? special[i] : random_value();
    size_t to_bytes = (size_t)count * kn_type_size(to_type);
    size_t from_bytes = (size_t)count * kn_type_size(from_type);
    char *from = host_new(from_bytes), *expected = host_new(to_bytes), *got = host_new(to_bytes);
    kn_convert(from, from_type, values, KN_F32, count);
    kn_convert(expected, to_type, from, from_type, count);
    struct kn_conversion op = {.to = buffer_new(NULL, to_bytes),
                               .from = buffer_new(from, from_bytes),
                               .to_type = to_type,
                               .from_type = from_type,
                               .count = count};
    check_status(kn->ops->convert(kn, &op));
    buffer_read(op.to, got, to_bytes);
    for (int64_t i = 0; i < count; i++) { // NaN as some NaN
        float a, b;
        size_t at = (size_t)i * kn_type_size(to_type);
        kn_convert(&a, KN_F32, got + at, to_type, 1);
        kn_convert(&b, KN_F32, expected + at, to_type, 1);
        if (isnan(b))
            assert_true(isnan(a));
        else
            assert_memory_equal(got + at, expected + at, kn_type_size(to_type));
    }
}

static void test_convert(void **state) {
    static const int64_t counts[] = {0, 1, 8, 4097, 70000};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(counts); i++) {
        for (int pair = 0; pair < 9; pair++) {
            if (pair / 3 != pair % 3)
                check_conversion((enum kn_type)(pair / 3), (enum kn_type)(pair % 3), counts[i]);
            buffers_free(state);
        }
    }
    struct kn_conversion same = {.to_type = KN_F16, .from_type = KN_F16};
    assert_int_equal(kn->ops->convert(kn, &same), KN_ESHAPE);
}

enum { COUNT = 40000, ROUNDS = 12 };

// A ring of two: while an op reads one half, the next values are copied into the other.
static void test_lanes(void **state) {
    (void)state;
    float *ring[2];
    double *host, truth = 0;
    check_status(kn->ops->host_alloc(kn, (void **)&host, sizeof *host));
    struct matrix x = matrix_output(KN_F32, 1, COUNT, 0);
    memset(x.values, 0, COUNT * sizeof *x.values);
    x = matrix_of(x.values, KN_F32, 1, COUNT, 0);
    const int32_t id = 0;
    float *device[2];
    struct kn_embed op = {
        .y = x.m, .ids = buffer_new(&id, sizeof id), .scale = 1, .accumulate = true};
    for (int half = 0; half < 2; half++) {
        device[half] = buffer_new(NULL, COUNT * sizeof(float));
        check_status(kn->ops->host_alloc(kn, (void **)&ring[half], COUNT * sizeof(float)));
    }
    for (int round = 0; round < ROUNDS; round++) {
        int half = round % 2, copied = half, used = 2 + half;
        check_status(kn->ops->await(kn, KN_LANE_HOST, copied)); // the half's last copy is done
        for (int i = 0; i < COUNT; i++)
            ring[half][i] = (float)(round + 1);
        truth += round + 1;
        check_status(kn->ops->await(kn, KN_LANE_COPIES, used)); // and its last use
        check_status(kn->ops->copy_ahead(kn, device[half], ring[half], COUNT * sizeof(float)));
        check_status(kn->ops->record(kn, KN_LANE_COPIES, copied));
        check_status(kn->ops->await(kn, KN_LANE_OPS, copied));
        op.table = kn_matrix(device[half], KN_F32, 1, COUNT);
        check_status(kn->ops->embed(kn, &op));
        check_status(kn->ops->record(kn, KN_LANE_OPS, used));
    }
    matrix_read(&x);
    for (int i = 0; i < COUNT; i++)
        assert_true((double)x.values[i] == truth);
    // A download into such memory is there when the event behind it has passed.
    double *source = buffer_new(&truth, sizeof truth);
    check_status(kn->ops->download(kn, host, source, sizeof *host));
    check_status(kn->ops->record(kn, KN_LANE_OPS, 4));
    check_status(kn->ops->await(kn, KN_LANE_HOST, 4));
    assert_true(*host == truth);
    check_status(kn->ops->await(kn, KN_LANE_HOST, KN_EVENTS - 1)); // never recorded
    kn->ops->host_free(kn, ring[0]);
    kn->ops->host_free(kn, ring[1]);
    kn->ops->host_free(kn, host);
}

static void test_options(void **state) {
    (void)state;
    char error[256];
    struct kn_backend *other;
    struct kn_options options = {.threads = 1, .type = KN_BF16, .error = error};
    assert_true(kn_device_count() >= (test_kind == KN_CUDA));
    if (test_kind != KN_CUDA) { // the host computes in f32 alone
        assert_int_equal(kn_open(&other, test_kind, &options), KN_EUNSUPPORTED);
        assert_true(strlen(error) > 0);
    }
    assert_true(kn->activation_type == test_type);
    assert_true(strlen(kn->description) > 0);
    assert_int_equal(kn_open(&other, test_kind, NULL), KN_OK);
    other->ops->close(other);
}

int test_memory(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_convert), OPS_TEST(test_lanes),
                                       OPS_TEST(test_options)};
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
