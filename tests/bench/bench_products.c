// SPDX-License-Identifier: Apache-2.0
// Rates of products on one backend, as CSV in TFLOP/s: the backend's product, and a product of
// groups over the same rows: into activations, into f32, and gated; last the backend's product with
// a bias and GELU behind it. With one group the first two compute the same.
//
//   bench_products [reference|cpu|cuda] [f32|f16|bf16]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/ops.h"

static const double SECONDS = 0.25;

struct shape {
    const char *name;
    int64_t rows, cols, depth, groups; // rows in all, equally many a group
};

static const struct shape shapes[] = {
    {"tiny", 256, 64, 64, 2},
    {"160m qkv", 16384, 2304, 768, 1},
    {"160m out", 16384, 768, 768, 1},
    {"160m in", 16384, 3072, 768, 1},
    {"160m down", 16384, 768, 3072, 1},
    {"1.4b qkv", 16384, 6144, 2048, 1},
    {"1.4b in", 16384, 8192, 2048, 1},
    {"1.4b down", 16384, 2048, 8192, 1},
    {"7b in", 16384, 22016, 4096, 1},
    {"7b down", 16384, 4096, 11008, 1},
    {"olmoe in", 131072, 2048, 2048, 64},
    {"olmoe down", 131072, 2048, 1024, 64},
    {"qwen3 in", 131072, 1536, 2048, 128},
    {"qwen3 down", 131072, 2048, 768, 128},
};

static void check(const struct kn_backend *kn, enum kn_status status) {
    if (status != KN_OK) {
        fprintf(stderr, "bench_products: %s %s\n", kn_status_text(status), kn ? kn->error : "");
        exit(3);
    }
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// A matrix of random values within +-1, a block of them again and again; rows of no type: zeros.
static struct kn_matrix random_matrix(struct kn_backend *kn, enum kn_type type, int64_t rows,
                                      int64_t cols) {
    enum { BLOCK = 1 << 16 };
    static float values[BLOCK];
    static char block[BLOCK * sizeof(float)];
    size_t size = kn_type_size(type), bytes = (size_t)(rows * cols) * size;
    void *memory;
    uint32_t state = 7;
    for (int i = 0; i < BLOCK; i++) {
        state = state * 1664525 + 1013904223;
        values[i] = (float)(state >> 8) * 0x1p-23F - 1;
    }
    if (type == KN_F32)
        memcpy(block, values, sizeof values);
    else
        kn_convert(block, type, values, KN_F32, BLOCK);
    check(kn, kn->ops->alloc(kn, &memory, bytes));
    for (size_t at = 0; at < bytes; at += BLOCK * size)
        check(kn, kn->ops->upload(kn, (char *)memory + at, block,
                                  bytes - at < BLOCK * size ? bytes - at : BLOCK * size));
    check(kn, kn->ops->sync(kn));
    return kn_matrix(memory, type, rows, cols);
}

// TFLOP/s of a product of groups, or of one for all rows where there are none.
static double rate_of(struct kn_backend *kn, const struct kn_grouped_product *op, double flops) {
    double begin = 0;
    int calls = 0, warm = 3;
    for (;; calls++) {
        if (calls == warm) {
            check(kn, kn->ops->sync(kn));
            begin = seconds_now();
        }
        if (calls > warm && calls % 4 == 0) {
            check(kn, kn->ops->sync(kn));
            if (seconds_now() - begin > SECONDS)
                break;
        }
        check(kn,
              op->first ? kn->ops->grouped_product(kn, op) : kn->ops->product(kn, &op->product));
    }
    return (calls - warm) * flops / (seconds_now() - begin) * 1e-12;
}

static int64_t *firsts_of(struct kn_backend *kn, const struct shape *s) {
    size_t bytes = (size_t)(s->groups + 1) * sizeof(int64_t);
    int64_t *host = malloc(bytes);
    void *memory;
    check(kn, host ? KN_OK : KN_ENOMEM);
    for (int64_t g = 0; g <= s->groups; g++)
        host[g] = s->rows / s->groups * g;
    check(kn, kn->ops->alloc(kn, &memory, bytes));
    check(kn, kn->ops->upload(kn, memory, host, bytes));
    check(kn, kn->ops->sync(kn));
    free(host);
    return memory;
}

static void measure(struct kn_backend *kn, const struct shape *s) {
    enum kn_type type = kn->activation_type;
    double flops = 2.0 * (double)s->rows * (double)s->cols * (double)s->depth;
    struct kn_matrix x = random_matrix(kn, type, s->rows, s->depth);
    struct kn_matrix w = random_matrix(kn, type, s->groups * s->cols, s->depth);
    struct kn_matrix y = random_matrix(kn, type, s->rows, s->cols);
    struct kn_matrix wide = random_matrix(kn, KN_F32, s->rows, s->cols);
    struct kn_matrix gated = random_matrix(kn, type, s->rows, s->cols / 2), one = w;
    struct kn_matrix bias = random_matrix(kn, KN_F32, 1, s->cols);
    int64_t *first = firsts_of(kn, s);
    one.rows = s->cols;
    struct kn_grouped_product product = {.product = {.y = y, .x = x, .w = one}};
    struct kn_grouped_product product_f32 = {.product = {.y = wide, .x = x, .w = one}};
    struct kn_grouped_product into_type = {
        .product = {.y = y, .x = x, .w = w}, .first = first, .groups = s->groups};
    struct kn_grouped_product into_f32 = into_type, with_gate = into_type;
    into_f32.product.y = wide;
    with_gate.gated = gated;
    with_gate.gate = KN_SILU;
    struct kn_grouped_product with_gelu = product;
    with_gelu.product.activation = KN_GELU_ERF;
    with_gelu.product.bias = bias.data;
    printf("%s,%lld,%lld,%lld,%lld,%.1f,%.1f,%.1f,%.1f,%.1f,%.1f\n", s->name, (long long)s->rows,
           (long long)s->cols, (long long)s->depth, (long long)s->groups,
           rate_of(kn, &product, flops), rate_of(kn, &product_f32, flops),
           rate_of(kn, &into_type, flops), rate_of(kn, &into_f32, flops),
           rate_of(kn, &with_gate, flops), rate_of(kn, &with_gelu, flops));
    fflush(stdout);
    void *const memory[] = {x.data, w.data, y.data, wide.data, gated.data, bias.data, first};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        kn->ops->free(kn, memory[i]);
}

int main(int count, char **arguments) {
    const char *kind = count > 1 ? arguments[1] : "cpu", *type = count > 2 ? arguments[2] : "f32";
    bool is_device = strcmp(kind, "cuda") == 0;
    char error[256] = "";
    struct kn_options options = {.error = error};
    struct kn_backend *kn;
    for (int t = KN_F32; t <= KN_BF16; t++)
        if (strcmp(type, kn_type_name((enum kn_type)t)) == 0)
            options.type = (enum kn_type)t;
    enum kn_status status = kn_open(&kn,
                                    is_device             ? KN_CUDA
                                    : strcmp(kind, "cpu") ? KN_REFERENCE
                                                          : KN_CPU,
                                    &options);
    if (status != KN_OK) {
        fprintf(stderr, "bench_products: %s: %s\n", kn_status_text(status), error);
        return 3;
    }
    printf("shape,rows,cols,depth,groups,product,product_f32,groups_in_type,groups_in_f32,gated,"
           "gelu\n");
    for (size_t i = 0; i < (is_device ? sizeof shapes / sizeof *shapes : 1); i++)
        measure(kn, &shapes[i]);
    kn->ops->close(kn);
    return 0;
}
