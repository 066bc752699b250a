// SPDX-License-Identifier: Apache-2.0
// The same bits from 1, 2 and 3 threads: everything that a layer does, on shapes of several tiles.
#include <string.h>

#include "support.h"

enum { ROWS = 1100, WIDTH = 48, VOCABULARY = 1700, HEAD_DIM = 16, GROUPS = 10, GROUP = 170 };

struct outputs {
    float product[ROWS * VOCABULARY], groups[ROWS * GROUP], attention[ROWS * WIDTH],
        norm[ROWS * WIDTH];
    double statistics[3 * KN_RESIDUAL_ADDS * ROWS], loss[3 * ROWS];
    float stream[ROWS * WIDTH];
    double divergence[9 * ROWS];
    int32_t best[2 * ROWS];
};

static void run_matrices(struct outputs *out, const struct matrix *x, const struct matrix *w) {
    struct matrix y = matrix_output(kn->activation_type, ROWS, VOCABULARY, 0);
    struct kn_product product = {y.m, x->m, w->m, NULL, KN_GELU_ERF, NULL};
    check_status(kn->ops->product(kn, &product));
    matrix_read(&y);
    memcpy(out->product, y.values, sizeof out->product);

    static const int64_t begin[GROUPS + 1] = {0, 300, 310, 310, 500, 501, 600, 700, 900, 999, ROWS};
    struct matrix grouped = matrix_output(kn->activation_type, ROWS, GROUP, 0);
    struct kn_grouped_product groups = {.product = {.y = grouped.m, .x = x->m, .w = w->m},
                                        .first = buffer_new(begin, sizeof begin),
                                        .groups = GROUPS};
    check_status(kn->ops->grouped_product(kn, &groups));
    matrix_read(&grouped);
    memcpy(out->groups, grouped.values, sizeof out->groups);

    struct matrix qkv = {.m = x->m}, heads = matrix_output(kn->activation_type, ROWS, 16, 0);
    struct kn_attention attention = {.y = heads.m,
                                     .q = {qkv.m, 0, 1, HEAD_DIM, HEAD_DIM},
                                     .k = {qkv.m, HEAD_DIM, 1, HEAD_DIM, HEAD_DIM},
                                     .v = {qkv.m, 2 * HEAD_DIM, 1, HEAD_DIM, HEAD_DIM},
                                     .sequences = kn_whole_sequences(ROWS / 2),
                                     .window = 300,
                                     .scale = 2};
    check_status(kn->ops->attention(kn, &attention));
    matrix_read(&heads);
    memcpy(out->attention, heads.values, ROWS * HEAD_DIM * sizeof(float));
}

static void run_rows(struct outputs *out, const struct matrix *x, const struct matrix *stream,
                     const struct matrix *w) {
    struct matrix y = matrix_output(kn->activation_type, ROWS, WIDTH, 0);
    struct kn_norm norm = {y.m, stream->m, {0}, KN_LAYER_NORM, NULL, NULL, 1e-5F};
    check_status(kn->ops->norm(kn, &norm));
    matrix_read(&y);
    memcpy(out->norm, y.values, sizeof out->norm);

    struct matrix x_end = matrix_of(stream->values, KN_F32, ROWS, WIDTH, 0);
    double *sums = buffer_new(NULL, sizeof out->statistics);
    struct kn_block_end block = {.xx = sums,
                                 .xd = sums + KN_RESIDUAL_ADDS * ROWS,
                                 .dd = sums + 2 * KN_RESIDUAL_ADDS * ROWS,
                                 .x = x_end.m,
                                 .attention = stream->m,
                                 .mlp = stream->m};
    check_status(kn->ops->block_end(kn, &block));
    buffer_read(sums, out->statistics, sizeof out->statistics);
    matrix_read(&x_end);
    memcpy(out->stream, x_end.values, sizeof out->stream);

    int32_t targets[ROWS];
    for (int i = 0; i < ROWS; i++)
        targets[i] = i;
    double *a = sums, *b = a + ROWS, *c = b + ROWS;
    struct kn_loss loss = {a, b, c, x->m, w->m, NULL, buffer_new(targets, sizeof targets), 0, 1, 0};
    check_status(kn_loss_begin(kn, &loss));
    check_status(kn->ops->loss(kn, &loss));
    buffer_read(sums, out->loss, sizeof out->loss);
}

static void run_divergence(struct outputs *out, const struct matrix *x, const struct matrix *other,
                           const struct matrix *w) {
    int32_t targets[ROWS], *best = buffer_new(NULL, sizeof out->best);
    for (int i = 0; i < ROWS; i++)
        targets[i] = i;
    double *a = buffer_new(NULL, sizeof out->divergence), *b = a + 4 * ROWS;
    const struct kn_head_candidate candidate = {.x = other->m,
                                                .maximum = b,
                                                .sum = b + ROWS,
                                                .target = b + 2 * ROWS,
                                                .cross = b + 3 * ROWS,
                                                .best = best + ROWS,
                                                .best_logit = b + 4 * ROWS};
    struct kn_divergence op = {.base = {a, a + ROWS, a + 2 * ROWS, x->m, w->m, NULL,
                                        buffer_new(targets, sizeof targets), 0, 1, 0},
                               .best = best,
                               .best_logit = a + 3 * ROWS,
                               .candidates = 1,
                               .candidate = &candidate};
    check_status(kn_divergence_begin(kn, &op));
    check_status(kn->ops->divergence(kn, &op));
    buffer_read(a, out->divergence, sizeof out->divergence);
    buffer_read(best, out->best, sizeof out->best);
}

static void run_all(struct outputs *out, const float *x, const float *w) {
    struct matrix activations = matrix_of(x, kn->activation_type, ROWS, WIDTH, 0);
    struct matrix stream = matrix_of(x, KN_F32, ROWS, WIDTH, 0);
    struct matrix weights = matrix_of(w, KN_BF16, VOCABULARY, WIDTH, 0);
    run_matrices(out, &activations, &weights);
    run_rows(out, &activations, &stream, &weights);
    struct matrix other = matrix_of(w, kn->activation_type, ROWS, WIDTH, 0);
    run_divergence(out, &activations, &other, &weights);
}

static void test_identical_bits(void **state) {
    static float x[ROWS * WIDTH], w[VOCABULARY * WIDTH];
    static struct outputs first, other;
    struct kn_backend *shared = kn;
    for (int i = 0; i < VOCABULARY * WIDTH; i++) {
        w[i] = random_value();
        x[i % (ROWS * WIDTH)] = random_value();
    }
    for (int threads = 1; threads <= 3; threads++) {
        check_status(
            kn_open(&kn, test_kind, &(struct kn_options){.threads = threads, .type = test_type}));
        assert_int_equal(kn->threads, test_kind == KN_CPU ? threads : 1);
        run_all(threads == 1 ? &first : &other, x, w);
        assert_int_equal(buffers_free(state), 0);
        kn->ops->close(kn);
        if (threads > 1)
            assert_memory_equal(&first, &other, sizeof first);
    }
    kn = shared;
}

int test_threads(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_identical_bits)};
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
