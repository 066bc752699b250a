// SPDX-License-Identifier: Apache-2.0
// Times every op of a backend on the shapes of a 160M-parameter model (d 768, 12 heads,
// feed-forward 3072, vocabulary 50304; 2 x 512 tokens), as CSV, beside the backend's own f32
// product. bench_ops [reference|cpu|cuda] [threads] [repeats]
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/measure.h"

enum { ROWS = 1024, SEQ_LEN = 512, WIDTH = 768, HEADS = 12, HEAD_DIM = 64, FEED = 3072 };
enum { VOCABULARY = 50304 };

static struct kn_backend *kn;
static double ceiling; // GFLOP/s
static int repeats = 10;

static void check(enum kn_status status) {
    if (status != KN_OK) {
        fprintf(stderr, "bench_ops: %s\n", kn_status_text(status));
        exit(3);
    }
}

static void *random_memory(enum kn_type type, int64_t count) {
    void *memory, *host = malloc((size_t)count * kn_type_size(type));
    uint32_t state = 7;
    if (!host)
        check(KN_ENOMEM);
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525 + 1013904223;
        float value = (float)(state >> 8) * 0x1p-23F - 1;
        kn_convert((char *)host + (size_t)i * kn_type_size(type), type, &value, KN_F32, 1);
    }
    check(kn->ops->alloc(kn, &memory, (size_t)count * kn_type_size(type)));
    check(kn->ops->upload(kn, memory, host, (size_t)count * kn_type_size(type)));
    free(host);
    return memory;
}

static struct kn_matrix random_matrix(enum kn_type type, int64_t rows, int64_t cols) {
    return kn_matrix(random_memory(type, rows * cols), type, rows, cols);
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// One CSV row. `work`: flops, or bytes where `is_bytes`; the share is of the ceiling's flops.
static void report(const char *op, const char *shape, const char *dtype, double *seconds,
                   double work, bool is_bytes) {
    qsort(seconds, (size_t)repeats, sizeof *seconds, compare);
    double rate = work / seconds[0] * 1e-9;
    printf("%s,%s,%s,%s,%d,%.6f,%.6f,%.1f,%s,", op, shape, dtype, kn->ops->name, kn->threads,
           seconds[0], seconds[repeats / 2], rate, is_bytes ? "GB/s" : "GFLOP/s");
    if (is_bytes)
        printf("\n");
    else
        printf("%.3f\n", rate / ceiling);
    fflush(stdout);
}

#define TIME(op, shape, dtype, work, is_bytes, call)                                               \
    do {                                                                                           \
        double seconds[1000];                                                                      \
        for (int run = -1; run < repeats; run++) {                                                 \
            double begin = seconds_now();                                                          \
            check(call);                                                                           \
            check(kn->ops->sync(kn));                                                              \
            seconds[run < 0 ? 0 : run] = seconds_now() - begin;                                    \
        }                                                                                          \
        report(op, shape, dtype, seconds, work, is_bytes);                                         \
    } while (0)

static double measure_ceiling(void) {
    double best = 0;
    int threads = kn->threads;
    float **blocks = malloc((size_t)threads * sizeof *blocks);
    for (int i = 0; blocks && i < threads; i++)
        blocks[i] = random_memory(KN_F32, 3 * ROWS * WIDTH);
    for (int run = 0; blocks && run < 10; run++) {
        double begin = seconds_now();
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int i = 0; i < threads; i++) {
            const float *x = blocks[i], *w = x + ROWS * WIDTH;
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, ROWS, WIDTH, WIDTH, 1, x, WIDTH, w,
                        WIDTH, 0, blocks[i] + 2 * ROWS * WIDTH, WIDTH);
        }
        double rate = 2e-9 * threads * ROWS * WIDTH * WIDTH / (seconds_now() - begin);
        best = rate > best ? rate : best;
    }
    for (int i = 0; blocks && i < threads; i++)
        kn->ops->free(kn, blocks[i]);
    free(blocks);
    return best;
}

static void bench_products(enum kn_type type, const char *dtype) {
    static const struct {
        const char *op, *shape;
        int64_t m, k;
        enum kn_activation activation;
    } products[] = {
        {"product qkv", "1024x2304x768", 3 * WIDTH, WIDTH, KN_IDENTITY},
        {"product out", "1024x768x768", WIDTH, WIDTH, KN_IDENTITY},
        {"product up", "1024x3072x768", FEED, WIDTH, KN_IDENTITY},
        {"product up+gelu_erf", "1024x3072x768", FEED, WIDTH, KN_GELU_ERF},
        {"product up+gelu_tanh", "1024x3072x768", FEED, WIDTH, KN_GELU_TANH},
        {"product down", "1024x768x3072", WIDTH, FEED, KN_IDENTITY},
    };
    float *bias = random_memory(KN_F32, FEED);
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++) {
        int64_t m = products[i].m, k = products[i].k;
        struct kn_product op = {random_matrix(kn->activation_type, ROWS, m),
                                random_matrix(kn->activation_type, ROWS, k),
                                random_matrix(type, m, k),
                                bias,
                                products[i].activation,
                                NULL};
        TIME(products[i].op, products[i].shape, dtype, 2.0 * ROWS * (double)m * (double)k, false,
             kn->ops->product(kn, &op));
        kn->ops->free(kn, op.y.data);
        kn->ops->free(kn, op.x.data);
        kn->ops->free(kn, op.w.data);
    }
    kn->ops->free(kn, bias);
}

static void bench_attention(int64_t seq_len, const char *shape) {
    float slopes[HEADS];
    for (int h = 0; h < HEADS; h++)
        slopes[h] = 1.F / (float)(2 << h);
    struct kn_matrix qkv = random_matrix(kn->activation_type, 2 * seq_len, 3 * WIDTH);
    struct kn_attention op = {.y = random_matrix(kn->activation_type, 2 * seq_len, WIDTH),
                              .q = {qkv, 0, HEADS, HEAD_DIM, HEAD_DIM},
                              .k = {qkv, WIDTH, HEADS, HEAD_DIM, HEAD_DIM},
                              .v = {qkv, 2 * WIDTH, HEADS, HEAD_DIM, HEAD_DIM},
                              .sequences = kn_whole_sequences(seq_len),
                              .scale = 0.125F};
    double pairs = (double)seq_len * (double)(seq_len + 1) / 2; // the causal half only
    double work = 2 * HEADS * 4.0 * HEAD_DIM * pairs;
    TIME("attention", shape, "f32", work, false, kn->ops->attention(kn, &op));
    op.slopes = slopes;
    TIME("attention alibi", shape, "f32", work, false, kn->ops->attention(kn, &op));
    op.slopes = NULL;
    op.softcap = 50;
    TIME("attention softcap", shape, "f32", work, false, kn->ops->attention(kn, &op));
    op.softcap = 0;
    op.window = seq_len / 4;
    work *= 1 - 0.75 * 0.75; // queries beyond the window's length see a window, the first fewer
    TIME("attention window", shape, "f32", work, false, kn->ops->attention(kn, &op));
    kn->ops->free(kn, op.y.data);
    kn->ops->free(kn, qkv.data);
}

static void bench_rows(void) {
    const double matrix = (double)ROWS * WIDTH * 4;
    enum kn_type type = kn->activation_type;
    struct kn_matrix x = random_matrix(KN_F32, ROWS, WIDTH),
                     delta = random_matrix(KN_F32, ROWS, WIDTH);
    struct kn_matrix addend = random_matrix(KN_F32, ROWS, WIDTH),
                     y = random_matrix(type, ROWS, WIDTH);
    float *weight = random_memory(KN_F32, WIDTH);
    double *sums = random_memory(KN_F32, 2 * 9 * ROWS);
    struct kn_norm norm = {y, x, {0}, KN_LAYER_NORM, weight, weight, 1e-5F};
    TIME("layer_norm", "1024x768", "f32", 2 * matrix, true, kn->ops->norm(kn, &norm));
    norm.kind = KN_RMS_NORM;
    TIME("rms_norm", "1024x768", "f32", 2 * matrix, true, kn->ops->norm(kn, &norm));
    struct kn_block_end end = {sums, sums + 3 * ROWS, sums + 6 * ROWS, x, delta, addend, false};
    TIME("block_end", "1024x768", "f32", 4 * matrix, true, kn->ops->block_end(kn, &end));

    struct kn_matrix qkv = random_matrix(type, ROWS, 3 * WIDTH);
    struct kn_heads heads = {qkv, 0, 2 * HEADS, HEAD_DIM, HEAD_DIM};
    struct kn_rope rope = {.heads = heads,
                           .sequences = kn_whole_sequences(SEQ_LEN),
                           .pairs = HEAD_DIM / 8,
                           .kind = KN_ROPE_HALF_SPLIT};
    rope.cos = rope.sin = random_memory(KN_F32, SEQ_LEN * HEAD_DIM / 8);
    TIME("rope", "1024x24x16", "f32", matrix, true, kn->ops->rope(kn, &rope));
    struct kn_matrix pair = random_matrix(type, ROWS, 2 * FEED),
                     up = random_matrix(type, ROWS, FEED);
    struct kn_gate gate = {.y = up, .x = pair, .activation = KN_SILU};
    TIME("gate silu", "1024x3072", "f32", 3.0 * ROWS * FEED * 4, true, kn->ops->gate(kn, &gate));
}

// A base and four candidates: five losses' products.
static void bench_divergence(const struct kn_loss *base, const char *dtype) {
    enum { CANDIDATES = 4 };
    struct kn_head_candidate candidate[CANDIDATES];
    for (int i = 0; i < CANDIDATES; i++) {
        double *sums = random_memory(KN_F32, 2 * 5 * ROWS);
        candidate[i] =
            (struct kn_head_candidate){.x = random_matrix(kn->activation_type, ROWS, WIDTH),
                                       .maximum = sums,
                                       .sum = sums + ROWS,
                                       .target = sums + 2 * ROWS,
                                       .cross = sums + 3 * ROWS,
                                       .best = random_memory(KN_F32, ROWS),
                                       .best_logit = sums + 4 * ROWS};
    }
    struct kn_divergence op = {.base = *base,
                               .best = random_memory(KN_F32, ROWS),
                               .best_logit = random_memory(KN_F32, 2 * ROWS),
                               .candidates = CANDIDATES,
                               .candidate = candidate};
    check(kn_divergence_begin(kn, &op));
    TIME("divergence of 4", "1024x50304x768", dtype,
         2.0 * (1 + CANDIDATES) * ROWS * VOCABULARY * WIDTH, false, kn->ops->divergence(kn, &op));
}

static void bench_head(enum kn_type type, const char *dtype) {
    int32_t *host = malloc(ROWS * sizeof *host), *targets;
    for (int i = 0; host && i < ROWS; i++)
        host[i] = i * 49;
    check(host ? kn->ops->alloc(kn, (void **)&targets, ROWS * sizeof *host) : KN_ENOMEM);
    check(kn->ops->upload(kn, targets, host, ROWS * sizeof *host));
    double *state = random_memory(KN_F32, 2 * 3 * ROWS);
    struct kn_matrix w = random_matrix(type, VOCABULARY, WIDTH),
                     y = random_matrix(KN_F32, ROWS, WIDTH);
    struct kn_embed embed = {y, w, targets, 0, 1, false};
    TIME("embed", "1024x768", dtype, 2.0 * ROWS * WIDTH * 4, true, kn->ops->embed(kn, &embed));
    struct kn_loss op = {.maximum = state,
                         .sum = state + ROWS,
                         .target = state + 2 * ROWS,
                         .x = random_matrix(kn->activation_type, ROWS, WIDTH),
                         .w = w,
                         .targets = targets,
                         .scale = 1};
    check(kn_loss_begin(kn, &op));
    TIME("loss", "1024x50304x768", dtype, 2.0 * ROWS * VOCABULARY * WIDTH, false,
         kn->ops->loss(kn, &op));
    bench_divergence(&op, dtype);
    kn->ops->free(kn, w.data);
    free(host);
}

int main(int count, char **arguments) {
    const char *name = count > 1 ? arguments[1] : "cpu";
    int threads = count > 2 ? atoi(arguments[2]) : 0;
    repeats = count > 3 ? atoi(arguments[3]) : repeats;
    repeats = repeats < 1 ? 1 : repeats > 1000 ? 1000 : repeats;
    enum kn_kind kind = strcmp(name, "reference") == 0 ? KN_REFERENCE
                        : strcmp(name, "cuda") == 0    ? KN_CUDA
                                                       : KN_CPU;
    check(kn_open(&kn, kind, &(struct kn_options){.threads = threads}));
    ceiling = measure_ceiling();
    fprintf(stderr, "%s: sgemm %.1f GFLOP/s\n", kn->description, ceiling);
    printf("op,shape,dtype,backend,threads,seconds_min,seconds_median,rate,unit,share\n");
    bench_products(KN_F32, "f32");
    bench_products(KN_BF16, "bf16");
    bench_attention(SEQ_LEN, "2x512x12x64");
    bench_attention(2048, "2x2048x12x64");
    bench_rows();
    bench_head(KN_F32, "f32");
    bench_head(KN_BF16, "bf16");
    kn->ops->close(kn);
    return 0;
}
