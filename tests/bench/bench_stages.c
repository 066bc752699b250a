// SPDX-License-Identifier: Apache-2.0
// Times every op of a block as the forward pass calls it, on the shapes of published models and one
// micro-batch, and prints a table of where the time goes as CSV:
//
//   bench_stages [reference|cpu|cuda] [f32|f16|bf16] [rows] [shape]
//
// us_per_token is that of the whole model, all its layers; share is that of the blocks' time. Calls
// are queued without waiting, for at least SECONDS together. tflops and gb_per_s are what was
// reached, counting each operand's bytes once.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/measure.h"

enum { SEQ_LEN = 2048, BLOCK = 1 << 20, PANEL_ELEMENTS = 1 << 24, BINS = 100, POSITION_BINS = 72 };
enum { WAVE = 16 }; // micro-batches whose statistics are summed at once, at the end of a layer
static const double SECONDS = 0.3;

struct model {
    const char *name;
    int64_t layers, width, heads, kv_heads, ffn, vocabulary, pairs;
    bool gated, parallel;
    enum kn_norm_kind norm;
};

static const struct model models[] = {
    {"160m", 12, 768, 12, 12, 3072, 50304, 8, false, true, KN_LAYER_NORM},
    {"1.4b", 24, 2048, 16, 16, 8192, 50304, 16, false, true, KN_LAYER_NORM},
    {"7b", 32, 4096, 32, 32, 11008, 32000, 64, true, false, KN_RMS_NORM},
    {"70b", 80, 8192, 64, 8, 28672, 32000, 64, true, false, KN_RMS_NORM},
    {"tiny", 2, 64, 4, 2, 160, 512, 8, true, false, KN_RMS_NORM},
};

// One model's operands; those of one row a token hold `rows` of them.
struct bench {
    struct kn_backend *kn;
    const struct model *m;
    int64_t rows, seq_len, dim, qkv_cols, panel_rows;
    struct kn_matrix stream, attention, mlp;     // f32 [rows, width]
    struct kn_matrix normed, wide, inner, mixed; // activation type
    struct kn_matrix w_qkv, w_out, w_in, w_down, w_head;
    float *vector, *turn; // norm weights and biases; cos or sin [seq_len, pairs]
    double *statistics, *sums, *bin_starts, *loss;
    uint32_t *counts;
    int32_t *position_bin, *ids;
};

// What one call does.
struct cost {
    double flops, bytes;
};

static void check(const struct kn_backend *kn, enum kn_status status) {
    if (status != KN_OK) {
        fprintf(stderr, "bench_stages: %s %s\n", kn_status_text(status), kn ? kn->error : "");
        exit(3);
    }
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// ---- operands ----------------------------------------------------------------------------------

static void *new_memory(struct kn_backend *kn, size_t bytes) {
    void *memory;
    check(kn, kn->ops->alloc(kn, &memory, bytes));
    return memory;
}

// `count` random values within +-scale, never zero; one block of them again and again.
static void *random_memory(struct kn_backend *kn, enum kn_type type, int64_t count, float scale) {
    size_t size = kn_type_size(type);
    float *values = malloc(BLOCK * sizeof *values);
    void *block = malloc(BLOCK * size), *memory = new_memory(kn, (size_t)count * size);
    check(kn, values && block ? KN_OK : KN_ENOMEM);
    uint32_t state = 7;
    for (int i = 0; i < BLOCK; i++) {
        state = state * 1664525 + 1013904223;
        values[i] = scale * ((float)(state >> 8) * 0x1p-23F - 1 + 0x1p-24F);
    }
    kn_convert(block, type, values, KN_F32, BLOCK);
    for (int64_t at = 0; at < count; at += BLOCK) {
        size_t bytes = (size_t)(count - at < BLOCK ? count - at : BLOCK) * size;
        check(kn, kn->ops->upload(kn, (char *)memory + (size_t)at * size, block, bytes));
    }
    check(kn, kn->ops->sync(kn));
    free(block);
    free(values);
    return memory;
}

static void *upload(struct kn_backend *kn, const void *host, size_t bytes) {
    void *memory = new_memory(kn, bytes);
    check(kn, kn->ops->upload(kn, memory, host, bytes));
    check(kn, kn->ops->sync(kn));
    return memory;
}

// cos and sin of an eighth of a turn: rotating again and again keeps the length of heads.
static float *eighth_turns(struct kn_backend *kn, int64_t count) {
    float *host = malloc((size_t)count * sizeof *host);
    check(kn, host ? KN_OK : KN_ENOMEM);
    for (int64_t i = 0; i < count; i++)
        host[i] = sqrtf(0.5F);
    float *turns = upload(kn, host, (size_t)count * sizeof *host);
    free(host);
    return turns;
}

static struct kn_matrix random_matrix(struct kn_backend *kn, enum kn_type type, int64_t rows,
                                      int64_t cols, float scale) {
    return kn_matrix(random_memory(kn, type, rows * cols, scale), type, rows, cols);
}

// Weights whose products are as large as their operands.
static struct kn_matrix weights(struct kn_backend *kn, int64_t rows, int64_t cols) {
    return random_matrix(kn, kn->activation_type, rows, cols, sqrtf(3 / (float)cols));
}

// x.x, x.delta and delta.delta of `count` tokens.
static double *some_statistics(struct kn_backend *kn, int64_t count) {
    double *host = malloc(sizeof(double) * 3 * (size_t)count);
    check(kn, host ? KN_OK : KN_ENOMEM);
    for (int64_t i = 0; i < count; i++) {
        host[i] = 1;
        host[count + i] = (double)(i % 19 - 9) * 1e-3;
        host[2 * count + i] = (double)(i % 23 + 1) * 1e-3;
    }
    double *statistics = upload(kn, host, sizeof(double) * 3 * (size_t)count);
    free(host);
    return statistics;
}

static void new_tables(struct bench *b) {
    double starts[BINS];
    for (int i = 0; i < BINS; i++)
        starts[i] = pow(10, -12 + i / 8.0);
    b->bin_starts = upload(b->kn, starts, sizeof starts);
    int32_t *host = calloc((size_t)(b->rows > b->seq_len ? b->rows : b->seq_len), sizeof *host);
    check(b->kn, host ? KN_OK : KN_ENOMEM);
    for (int64_t i = 0; i < b->seq_len; i++)
        host[i] = (int32_t)(i * POSITION_BINS / b->seq_len);
    b->position_bin = upload(b->kn, host, (size_t)b->seq_len * sizeof *host);
    for (int64_t i = 0; i < b->rows; i++)
        host[i] = (int32_t)(i * 7919 % b->panel_rows);
    b->ids = upload(b->kn, host, (size_t)b->rows * sizeof *host);
    free(host);
}

static void new_operands(struct bench *b) {
    struct kn_backend *kn = b->kn;
    const struct model *m = b->m;
    enum kn_type type = kn->activation_type;
    int64_t rows = b->rows, width = m->width, in_cols = m->gated ? 2 * m->ffn : m->ffn;
    b->dim = width / m->heads;
    b->qkv_cols = (m->heads + 2 * m->kv_heads) * b->dim;
    b->panel_rows = PANEL_ELEMENTS / width < m->vocabulary ? PANEL_ELEMENTS / width : m->vocabulary;
    b->stream = random_matrix(kn, KN_F32, rows, width, 1);
    b->attention = random_matrix(kn, KN_F32, rows, width, 0.1F);
    b->mlp = random_matrix(kn, KN_F32, rows, width, 0.1F);
    b->normed = random_matrix(kn, type, rows, width, 1);
    b->wide = random_matrix(kn, type, rows, b->qkv_cols > in_cols ? b->qkv_cols : in_cols, 1);
    b->inner = random_matrix(kn, type, rows, m->ffn, 1);
    b->mixed = random_matrix(kn, type, rows, width, 1);
    b->w_qkv = weights(kn, b->qkv_cols, width);
    b->w_out = weights(kn, width, width);
    b->w_in = weights(kn, in_cols, width);
    b->w_down = weights(kn, width, m->ffn);
    b->w_head = weights(kn, b->panel_rows, width);
    b->vector = random_memory(kn, KN_F32, b->wide.cols, 1);
    b->turn = eighth_turns(kn, b->seq_len * m->pairs);
    b->statistics = some_statistics(kn, WAVE * KN_RESIDUAL_ADDS * rows);
    b->loss = new_memory(kn, sizeof(double) * 3 * (size_t)rows);
    size_t sequences = (size_t)(WAVE * KN_RESIDUAL_ADDS * rows / b->seq_len);
    b->sums = new_memory(kn, sizeof(double) * (KN_SUMS + POSITION_BINS) * sequences);
    b->counts = new_memory(kn, sizeof(uint32_t) * (KN_COUNTS + BINS + POSITION_BINS) * sequences);
    new_tables(b);
}

static void free_operands(struct bench *b) {
    void *all[] = {b->stream.data, b->attention.data, b->mlp.data,   b->normed.data, b->wide.data,
                   b->inner.data,  b->mixed.data,     b->w_qkv.data, b->w_out.data,  b->w_in.data,
                   b->w_down.data, b->w_head.data,    b->vector,     b->turn,        b->statistics,
                   b->loss,        b->sums,           b->counts,     b->bin_starts,  b->ids,
                   b->position_bin};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        b->kn->ops->free(b->kn, all[i]);
}

// ---- ops ---------------------------------------------------------------------------------------

static double bytes_of(const struct kn_matrix *m) {
    return (double)m->rows * (double)m->cols * (double)kn_type_size(m->type);
}

// The first `cols` columns of a scratch matrix, packed.
static struct kn_matrix packed(struct kn_matrix scratch, int64_t cols) {
    return kn_matrix(scratch.data, scratch.type, scratch.rows, cols);
}

static enum kn_status product(const struct bench *b, struct cost *cost, struct kn_matrix y,
                              struct kn_matrix x, struct kn_matrix w,
                              enum kn_activation activation) {
    bool has_bias = !b->m->gated;
    struct kn_product op = {y, x, w, has_bias ? b->vector : NULL, activation, NULL};
    cost->flops = 2.0 * (double)x.rows * (double)w.rows * (double)w.cols;
    cost->bytes = bytes_of(&y) + bytes_of(&x) + bytes_of(&w);
    return b->kn->ops->product(b->kn, &op);
}

static enum kn_status normalise(const struct bench *b, struct cost *cost, struct kn_matrix addend) {
    struct kn_norm op = {b->normed, b->stream, addend, b->m->norm, b->vector, b->vector, 1e-5F};
    cost->bytes = bytes_of(&b->normed) + bytes_of(&b->stream);
    cost->bytes += addend.data ? bytes_of(&addend) : 0;
    return b->kn->ops->norm(b->kn, &op);
}

static enum kn_status norm_of_attention(const struct bench *b, struct cost *cost) {
    return normalise(b, cost, (struct kn_matrix){0});
}

static enum kn_status qkv(const struct bench *b, struct cost *cost) {
    return product(b, cost, packed(b->wide, b->qkv_cols), b->normed, b->w_qkv, KN_IDENTITY);
}

static struct kn_heads heads_of(const struct bench *b, int64_t first, int64_t count) {
    return (struct kn_heads){packed(b->wide, b->qkv_cols), first * b->dim, count, b->dim, b->dim};
}

static enum kn_status rotate(const struct bench *b, struct cost *cost) {
    const struct model *m = b->m;
    struct kn_rope op = {.heads = heads_of(b, 0, m->heads + m->kv_heads),
                         .pairs = m->pairs,
                         .sequences = kn_whole_sequences(b->seq_len),
                         .cos = b->turn,
                         .sin = b->turn,
                         .kind = KN_ROPE_HALF_SPLIT};
    cost->bytes = 2.0 * (double)b->rows * (double)(op.heads.count * 2 * m->pairs) *
                  (double)kn_type_size(b->wide.type);
    return b->kn->ops->rope(b->kn, &op);
}

static enum kn_status attend(const struct bench *b, struct cost *cost) {
    const struct model *m = b->m;
    struct kn_attention op = {.y = b->mixed,
                              .q = heads_of(b, 0, m->heads),
                              .k = heads_of(b, m->heads, m->kv_heads),
                              .v = heads_of(b, m->heads + m->kv_heads, m->kv_heads),
                              .sequences = kn_whole_sequences(b->seq_len),
                              .scale = 1 / sqrtf((float)b->dim)};
    cost->flops = 2.0 * (double)b->rows * (double)m->width * (double)(b->seq_len + 1);
    cost->bytes = bytes_of(&op.q.x) + bytes_of(&b->mixed);
    return b->kn->ops->attention(b->kn, &op);
}

static enum kn_status out(const struct bench *b, struct cost *cost) {
    return product(b, cost, b->attention, b->mixed, b->w_out, KN_IDENTITY);
}

static enum kn_status norm_of_mlp(const struct bench *b, struct cost *cost) {
    return normalise(b, cost, b->m->parallel ? (struct kn_matrix){0} : b->attention);
}

static enum kn_status in(const struct bench *b, struct cost *cost) {
    if (b->m->gated)
        return product(b, cost, packed(b->wide, 2 * b->m->ffn), b->normed, b->w_in, KN_IDENTITY);
    return product(b, cost, b->inner, b->normed, b->w_in, KN_GELU_ERF);
}

static enum kn_status gate(const struct bench *b, struct cost *cost) {
    struct kn_gate op = {.y = b->inner, .x = packed(b->wide, 2 * b->m->ffn), .activation = KN_SILU};
    if (!b->m->gated)
        return KN_OK;
    cost->bytes = bytes_of(&op.y) + bytes_of(&op.x);
    return b->kn->ops->gate(b->kn, &op);
}

static enum kn_status down(const struct bench *b, struct cost *cost) {
    return product(b, cost, b->mlp, b->inner, b->w_down, KN_IDENTITY);
}

static enum kn_status end_block(const struct bench *b, struct cost *cost) {
    int64_t n = KN_RESIDUAL_ADDS * b->rows;
    struct kn_block_end op = {b->statistics, b->statistics + n, b->statistics + 2 * n,
                              b->stream,     b->attention,      b->mlp,
                              b->m->parallel};
    cost->bytes = 4 * bytes_of(&b->stream) + 3 * (double)n * sizeof(double);
    return b->kn->ops->block_end(b->kn, &op);
}

// The sums of the three adds of a block, of all micro-batches of a wave.
static enum kn_status summarise(const struct bench *b, struct cost *cost) {
    int64_t n = WAVE * KN_RESIDUAL_ADDS * b->rows;
    struct kn_summary op = {.sums = b->sums,
                            .counts = b->counts,
                            .xx = b->statistics,
                            .xd = b->statistics + n,
                            .dd = b->statistics + 2 * n,
                            .sequences = n / b->seq_len,
                            .seq_len = b->seq_len,
                            .bin_starts = b->bin_starts,
                            .position_bin = b->position_bin,
                            .bins = BINS,
                            .position_bins = POSITION_BINS};
    cost->bytes = 3 * (double)n * sizeof(double);
    return b->kn->ops->summary(b->kn, &op);
}

static enum kn_status head(const struct bench *b, struct cost *cost) {
    struct kn_loss op = {.maximum = b->loss,
                         .sum = b->loss + b->rows,
                         .target = b->loss + 2 * b->rows,
                         .x = b->normed,
                         .w = b->w_head,
                         .targets = b->ids,
                         .scale = 1};
    cost->flops = 2.0 * (double)b->rows * (double)b->panel_rows * (double)b->m->width;
    cost->bytes = bytes_of(&op.x) + bytes_of(&op.w);
    return b->kn->ops->loss(b->kn, &op);
}

// In the order of the forward pass; the head, a panel of which is one call, is no part of a block.
static const struct op {
    const char *name;
    enum kn_status (*run)(const struct bench *b, struct cost *cost);
    int batches; // micro-batches of one call
} ops[] = {
    {"norm before attention", norm_of_attention, 1},
    {"product qkv", qkv, 1},
    {"rotate", rotate, 1},
    {"attention", attend, 1},
    {"product out", out, 1},
    {"norm before MLP", norm_of_mlp, 1},
    {"product in", in, 1},
    {"gate", gate, 1},
    {"product down", down, 1},
    {"end of block", end_block, 1},
    {"sums", summarise, WAVE},
    {"head", head, 1},
};
enum { OPS = sizeof ops / sizeof ops[0], BLOCK_OPS = OPS - 1 };

// ---- times -------------------------------------------------------------------------------------

// Seconds of one micro-batch, over calls without a pause that together take at least SECONDS.
static double time_op(const struct bench *b, const struct op *op, struct cost *cost) {
    check(b->kn, op->run(b, cost));
    check(b->kn, b->kn->ops->sync(b->kn));
    double seconds = 0;
    int64_t calls = 1;
    for (;; calls *= 2) {
        double begin = seconds_now();
        for (int64_t i = 0; i < calls; i++)
            check(b->kn, op->run(b, cost));
        check(b->kn, b->kn->ops->sync(b->kn));
        seconds = seconds_now() - begin;
        if (seconds >= SECONDS) {
            cost->bytes /= op->batches;
            return seconds / (double)(calls * op->batches);
        }
    }
}

static void print_row(const struct bench *b, const char *name, double seconds, double share,
                      const struct cost *cost, double calls) {
    static const char *const types[] = {[KN_F32] = "f32", [KN_F16] = "f16", [KN_BF16] = "bf16"};
    printf("%s,%s,%s,%s,%lld,%.4f,%.4f,%.1f,%.0f\n", b->m->name, name, b->kn->ops->name,
           types[b->kn->activation_type], (long long)b->rows,
           1e6 * seconds * calls / (double)b->rows, share, 1e-12 * cost->flops / seconds,
           1e-9 * cost->bytes / seconds);
    fflush(stdout);
}

static void bench_model(struct kn_backend *kn, const struct model *m, int64_t rows) {
    struct bench b = {.kn = kn, .m = m, .seq_len = rows < SEQ_LEN ? rows : SEQ_LEN};
    b.rows = rows / b.seq_len * b.seq_len;
    new_operands(&b);
    double seconds[OPS], layer = 0;
    struct cost cost[OPS] = {{0, 0}}, all = {0, 0};
    struct kn_loss loss = {
        .maximum = b.loss, .sum = b.loss + b.rows, .target = b.loss + 2 * b.rows, .x = b.normed};
    check(kn, kn_loss_begin(kn, &loss));
    for (int i = 0; i < OPS; i++) {
        bool absent = ops[i].run == gate && !m->gated;
        seconds[i] = absent ? 0 : time_op(&b, &ops[i], &cost[i]);
        layer += i < BLOCK_OPS ? seconds[i] : 0;
        all.flops += i < BLOCK_OPS ? cost[i].flops : 0;
        all.bytes += i < BLOCK_OPS ? cost[i].bytes : 0;
    }
    for (int i = 0; i < BLOCK_OPS; i++)
        if (seconds[i] > 0)
            print_row(&b, ops[i].name, seconds[i], seconds[i] / layer, &cost[i], (double)m->layers);
    print_row(&b, "all blocks", layer, 1, &all, (double)m->layers);
    print_row(&b, "head", seconds[BLOCK_OPS], 0, &cost[BLOCK_OPS],
              (double)m->vocabulary / (double)b.panel_rows);
    free_operands(&b);
}

int main(int count, char **arguments) {
    static const char *const kinds[] = {
        [KN_REFERENCE] = "reference", [KN_CPU] = "cpu", [KN_CUDA] = "cuda"};
    const char *kind = count > 1 ? arguments[1] : "cpu", *type = count > 2 ? arguments[2] : "f32";
    int64_t rows = count > 3 ? atoll(arguments[3]) : 16384;
    int at = KN_CUDA;
    while (at > KN_REFERENCE && strcmp(kind, kinds[at]) != 0)
        at--;
    char error[256] = "";
    struct kn_options options = {.error = error};
    options.type = !strcmp(type, "bf16") ? KN_BF16 : !strcmp(type, "f16") ? KN_F16 : KN_F32;
    struct kn_backend *kn;
    enum kn_status status = kn_open(&kn, (enum kn_kind)at, &options);
    if (status != KN_OK || rows < 1) {
        fprintf(stderr, "bench_stages: %s %s\n", kn_status_text(status), error);
        return status == KN_EUNSUPPORTED ? 77 : 2;
    }
    fprintf(stderr, "%s\n", kn->description);
    printf("shape,op,backend,dtype,rows,us_per_token,share,tflops,gb_per_s\n");
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        bool wanted = count > 4 ? !strcmp(arguments[4], models[i].name) : models[i].layers > 2;
        if (wanted)
            bench_model(kn, &models[i], rows);
    }
    kn->ops->close(kn);
    return 0;
}
