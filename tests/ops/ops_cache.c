// SPDX-License-Identifier: Apache-2.0
// Attention with queries that begin at a position of their own, and keys from a cache.
#include <math.h>

#include "attention_truth.h"

// A cache of the keys and values of `first` positions before the queries, of theirs, and with room
// for `spare` behind them. They lie as in the matrix of one projection, behind unused queries.
struct cached {
    struct attention_shape shape;
    int64_t first, spare;
};

// Queries that begin at a position of their own, keys and values from a cache, whose spare rows,
// never to be read, are not numbers.
static void check_cached(const struct cached *cached, const struct attention_options *options) {
    const struct attention_shape *s = &cached->shape;
    int64_t seen = cached->first + s->seq_len;
    struct kn_sequences sequences = {s->seq_len, seen + cached->spare, cached->first};
    int64_t rows = s->sequences * sequences.keys, queries = s->sequences * s->seq_len;
    struct matrix q = matrix_random(kn->activation_type, queries, attention_width(s), 3);
    struct matrix kv = matrix_random(kn->activation_type, rows, attention_width(s), 5);
    for (int64_t i = 0; i < rows * attention_width(s); i++) {
        bool is_spare = i / attention_width(s) % sequences.keys >= seen;
        kv.values[i] = is_spare ? NAN : kv.values[i];
    }
    kv = matrix_of(kv.values, kn->activation_type, rows, attention_width(s), 5);
    struct matrix y = matrix_output(kn->activation_type, queries, s->heads * s->v_dim, 4);
    struct kn_attention op = attention_of(s, options, y.m, q.m);
    op.k.x = op.v.x = kv.m;
    op.sequences = sequences;
    attention_check(&op, (struct attention_values){q.values, kv.values, options->sinks}, &y,
                    s->seq_len > 100 ? 29 : 1);
}

static void test_cache(void **state) {
    static const float slopes[] = {0.25F, 0.0625F, 0, 0.7F, 0.01F, 0.3F};
    static const struct cached shapes[] = {
        {{1, 1, 2, 1, 16, 16}, 0, 0},      {{3, 1, 6, 2, 24, 24}, 40, 0},
        {{2, 1, 4, 4, 16, 20}, 700, 30},   {{2, 7, 4, 2, 80, 80}, 293, 5},
        {{3, 20, 6, 3, 24, 16}, 1, 1},     {{1, 130, 2, 1, 16, 16}, 95, 0},
        {{2, 97, 4, 1, 8, 33}, 400, 9},    {{2, 33, 2, 2, 64, 64}, 0, 7},
        {{2, 65, 2, 1, 128, 128}, 63, 64}, {{0, 5, 2, 1, 8, 8}, 3, 0},
    };
    static const struct attention_options options[] = {
        {.scale = 1.5F},
        {.scale = 1.5F, .window = 1},
        {.scale = 1.5F, .window = 50},
        {.scale = 1.5F, .window = 295},
        {.scale = 1.5F, .window = 50, .chunks = true},
        {.scale = 1.5F, .window = 295, .chunks = true},
        {.scale = 1.5F, .window = 2000},
        {.scale = 1.5F, .slopes = slopes},
        {.scale = 1.5F, .softcap = 2.F},
        {.scale = 1.5F, .softcap = 2.F, .window = 50, .slopes = slopes},
        {.scale = 0.3F, .sinks = slopes},
        {.scale = 0.3F, .softcap = 3.F, .window = 98, .slopes = slopes, .slopes_bf16 = true},
    };
    for (size_t i = 0; i < TEST_ARRAY_SIZE(shapes); i++) {
        for (size_t o = 0; o < TEST_ARRAY_SIZE(options); o++) {
            check_cached(&shapes[i], &options[o]);
            buffers_free(state);
        }
    }
}

// Token by token through a cache, or in pieces: what the sequence gives as a whole. A key or value
// that is not a number touches the queries at and behind its position alone.
static void check_pieces(int64_t piece, int64_t bad) {
    enum { LENGTH = 120, WIDTH = 32 };
    const struct attention_options options = {.scale = 1};
    const struct attention_shape shape = {1, LENGTH, 2, 1, 8, 8};
    struct matrix qkv = matrix_random(kn->activation_type, LENGTH, WIDTH, 0);
    qkv.values[bad * WIDTH + 24] = NAN; // of the value
    qkv = matrix_of(qkv.values, kn->activation_type, LENGTH, WIDTH, 0);
    struct matrix expected = matrix_output(kn->activation_type, LENGTH, 16, 0);
    struct matrix y = matrix_output(kn->activation_type, LENGTH, 16, 0);
    struct kn_attention op = attention_of(&shape, &options, expected.m, qkv.m);
    check_status(kn->ops->attention(kn, &op));
    for (int64_t first = 0; first < LENGTH; first += piece) {
        size_t size = kn_type_size(qkv.m.type);
        op.sequences = (struct kn_sequences){piece, LENGTH, first};
        op.y.data = (char *)y.m.data + (size_t)(first * y.m.stride) * size;
        op.q.x.data = (char *)qkv.m.data + (size_t)(first * qkv.m.stride) * size;
        op.y.rows = op.q.x.rows = piece;
        check_status(kn->ops->attention(kn, &op));
    }
    matrix_read(&expected);
    matrix_read(&y);
    float unit = kn->activation_type == KN_F32 ? 2e-6F : 1e-2F; // values are below 1
    for (int64_t i = 0; i < LENGTH * 16; i++) {
        bool is_touched = i / 16 >= bad && i % 8 == 0;
        assert_true(isnan(expected.values[i]) == is_touched && isnan(y.values[i]) == is_touched);
        assert_true(is_touched || fabsf(y.values[i] - expected.values[i]) <= unit);
    }
}

static void test_pieces(void **state) {
    static const int64_t pieces[] = {1, 4, 40, 60, 120};
    for (size_t i = 0; i < TEST_ARRAY_SIZE(pieces); i++) {
        check_pieces(pieces[i], 57);
        check_pieces(pieces[i], 0);
        buffers_free(state);
    }
}

// Single queries at positions of their own, two of them of one sequence. Rows of the cache that no
// query sees are not numbers.
enum { DECODED = 4, CACHED = 3 };
struct decoded {
    int64_t heads, kv_heads, head_dim, v_dim, keys, window;
    int32_t positions[DECODED];
};

static bool sees(const struct decoded *d, bool chunks, int64_t position, int64_t key) {
    if (d->window && chunks)
        return key / d->window == position / d->window;
    return !d->window || key > position - d->window;
}

static bool is_seen(const struct decoded *d, bool chunks, const int32_t *sequences, int64_t row) {
    for (int64_t r = 0; r < DECODED; r++)
        for (int64_t j = 0; sequences[r] == row / d->keys && j <= d->positions[r]; j++)
            if (j % d->keys == row % d->keys && sees(d, chunks, d->positions[r], j))
                return true;
    return false;
}

// `pad`: elements behind rows; with 8 heads lie where they can be read by packs.
static void check_decode(const struct decoded *d, struct attention_options options, int64_t pad) {
    static const int32_t sequences[DECODED] = {2, 0, 1, 2};
    const struct attention_shape shape = {CACHED,      d->keys,     d->heads,
                                          d->kv_heads, d->head_dim, d->v_dim};
    int64_t rows = CACHED * d->keys, width = attention_width(&shape);
    struct matrix q = matrix_random(kn->activation_type, DECODED, width, pad);
    struct matrix kv = matrix_random(kn->activation_type, rows, width, pad);
    for (int64_t row = 0; row < rows; row++) {
        bool seen = is_seen(d, options.chunks, sequences, row);
        for (int64_t i = 0; i < width && !seen; i++)
            kv.values[row * width + i] = NAN;
    }
    kv = matrix_of(kv.values, kn->activation_type, rows, width, pad);
    struct matrix y = matrix_output(kn->activation_type, DECODED, d->heads * d->v_dim, 4);
    options.window = d->window;
    struct kn_decode_attention op = {.attention = attention_of(&shape, &options, y.m, q.m),
                                     .keys = d->keys,
                                     .positions = buffer_new(d->positions, sizeof d->positions),
                                     .sequences = buffer_new(sequences, sizeof sequences)};
    op.attention.k.x = op.attention.v.x = kv.m;
    decode_check(&op, (struct attention_values){q.values, kv.values, options.sinks}, &y,
                 d->positions, sequences);
}

static void test_decode(void **state) {
    static const float slopes[] = {0.25F, 0.0625F, 0,    0.7F, 0.01F, 0.3F, 0.2F,  0.1F,
                                   0.6F,  0.05F,   0.3F, 0.9F, 0,     0.1F, 0.02F, 0.5F};
    static const struct decoded shapes[] = {
        {2, 1, 16, 16, 40, 0, {0, 39, 7, 12}},
        {6, 2, 24, 24, 300, 0, {299, 128, 127, 0}},
        {4, 4, 64, 64, 130, 0, {129, 128, 60, 5}},
        {10, 1, 80, 48, 700, 0, {699, 300, 255, 256}}, // more heads than share a key at once
        {4, 2, 128, 128, 20, 20, {19, 3, 20, 33}},     // a ring
        {4, 2, 33, 20, 150, 150, {1000, 149, 150, 900}},
        {2, 2, 8, 8, 64, 7, {200, 3, 6, 198}},
        {2, 1, 256, 256, 9, 1, {40, 8, 9, 0}},
        {16, 1, 576, 512, 70, 0, {69, 63, 64, 0}}, // latents, more than packs have room for
        {6, 2, 256, 128, 200, 0, {199, 64, 65, 0}},
        {8, 4, 64, 64, 190, 0, {189, 127, 128, 3}},
        {16, 2, 128, 128, 70, 0, {69, 63, 64, 31}},
        // More parts than blocks run side by side, by heads that share keys.
        {16, 16, 16, 16, 2000, 0, {1999, 1000, 700, 1500}},
        {16, 16, 16, 16, 1500, 1500, {5000, 1499, 1500, 4000}},
        {16, 4, 16, 16, 2304, 0, {2303, 2240, 2250, 2100}},
        {16, 2, 16, 16, 2304, 0, {2303, 2200, 2250, 2111}},
    };
    static const struct attention_options options[] = {
        {.scale = 1.5F},
        {.scale = 1.5F, .slopes = slopes},
        {.scale = 1.5F, .softcap = 2.F},
        {.scale = 0.3F, .softcap = 3.F, .slopes = slopes, .slopes_bf16 = true},
        {.scale = 0.3F, .sinks = slopes},
        {.scale = 1.5F, .chunks = true},
    };
    // A device reads heads by packs where they lie so; the last shapes are for that.
    bool has_packs = test_kind == KN_CUDA;
    size_t count = TEST_ARRAY_SIZE(shapes) - (has_packs ? 0 : 7);
    for (size_t i = 0; i < count; i++) {
        for (size_t o = 0; o < TEST_ARRAY_SIZE(options); o++) {
            check_decode(&shapes[i], options[o], 3);
            buffers_free(state);
            if (has_packs)
                check_decode(&shapes[i], options[o], 8);
            buffers_free(state);
        }
    }
}

// One value that is not a number touches its column of the query that sees it alone.
static void test_decode_nonfinite(void **state) {
    (void)state;
    static const int32_t positions[] = {4, 5}, sequences[] = {0, 0};
    const struct attention_options options = {.scale = 1};
    const struct attention_shape shape = {1, 6, 2, 1, 8, 8};
    struct matrix q = matrix_random(kn->activation_type, 2, 32, 0);
    struct matrix kv = matrix_random(kn->activation_type, 6, 32, 0);
    kv.values[5 * 32 + 24 + 3] = INFINITY;
    kv = matrix_of(kv.values, kn->activation_type, 6, 32, 0);
    struct matrix y = matrix_output(kn->activation_type, 2, 16, 0);
    struct kn_decode_attention op = {.attention = attention_of(&shape, &options, y.m, q.m),
                                     .keys = 6,
                                     .positions = buffer_new(positions, sizeof positions),
                                     .sequences = buffer_new(sequences, sizeof sequences)};
    op.attention.k.x = op.attention.v.x = kv.m;
    check_status(kn->ops->decode_attention(kn, &op));
    matrix_read(&y);
    for (int64_t i = 0; i < 32; i++)
        assert_true(isfinite(y.values[i]) == (i < 16 || i % 8 != 3));
    op.keys = 4; // of 6 rows
    assert_int_equal(kn->ops->decode_attention(kn, &op), KN_ESHAPE);
    op.keys = 6;
    op.positions = NULL;
    assert_int_equal(kn->ops->decode_attention(kn, &op), KN_ESHAPE);
    op.attention.y.rows = op.attention.q.x.rows = 0;
    check_status(kn->ops->decode_attention(kn, &op));
}

int test_cached_attention(void) {
    const struct CMUnitTest tests[] = {OPS_TEST(test_cache), OPS_TEST(test_pieces),
                                       OPS_TEST(test_decode), OPS_TEST(test_decode_nonfinite)};
    return cmocka_run_group_tests_name("cached attention", tests, NULL, NULL);
}
