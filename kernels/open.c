// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "kernels/convert.h"
#include "kernels/measure.h"
#include "reference.h"

enum { ERROR_MAX = 256 }; // bytes of kn_options' error

int kn_device_count(void) {
#ifdef KN_HAS_CUDA
    return kn_cuda_device_count();
#else
    return 0;
#endif
}

enum kn_status kn_device_describe(struct kn_device *device, int index) {
#ifdef KN_HAS_CUDA
    return kn_cuda_device_describe(device, index);
#else
    (void)device;
    (void)index;
    return KN_EUNSUPPORTED;
#endif
}

#ifdef KN_HAS_CUDA
static struct {
    pthread_t thread;
    bool runs;
} preparation;

static void *prepare_cuda(void *nothing) {
    (void)nothing;
    kn_cuda_prepare();
    return NULL;
}

// Signals are for the threads that know what to do with them.
void kn_prepare(enum kn_kind kind) {
    sigset_t all, before;
    if (kind != KN_CUDA || preparation.runs)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    preparation.runs = pthread_create(&preparation.thread, NULL, prepare_cuda, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void kn_prepare_end(void) {
    if (preparation.runs)
        pthread_join(preparation.thread, NULL);
    preparation.runs = false;
}
#else
void kn_prepare(enum kn_kind kind) {
    (void)kind;
}

void kn_prepare_end(void) {
}
#endif

static enum kn_status open_cuda(struct kn_backend **kn_p, const struct kn_options *options) {
#ifdef KN_HAS_CUDA
    return kn_cuda_open(kn_p, options);
#else
    (void)kn_p;
    if (options->error)
        snprintf(options->error, ERROR_MAX, "this build has no CUDA backend");
    return KN_EUNSUPPORTED;
#endif
}

enum kn_status kn_open(struct kn_backend **kn_p, enum kn_kind kind,
                       const struct kn_options *options) {
    static const struct kn_options defaults;
    options = options ? options : &defaults;
    if (options->error)
        *options->error = '\0';
    if (kind == KN_CUDA)
        return open_cuda(kn_p, options);
    if (options->type != KN_F32) {
        if (options->error)
            snprintf(options->error, ERROR_MAX, "the CPU computes in f32 alone");
        return KN_EUNSUPPORTED;
    }
    return kind == KN_CPU ? kn_cpu_open(kn_p, options) : kn_reference_open(kn_p, options);
}

size_t kn_type_size(enum kn_type type) {
    return type == KN_F32 ? sizeof(float) : sizeof(uint16_t);
}

const char *kn_type_name(enum kn_type type) {
    static const char *const names[] = {[KN_F32] = "f32", [KN_F16] = "f16", [KN_BF16] = "bf16"};
    return names[type];
}

void kn_convert(void *to, enum kn_type to_type, const void *from, enum kn_type from_type,
                int64_t count) {
    if (to_type == from_type) {
        memcpy(to, from, (size_t)count * kn_type_size(to_type));
        return;
    }
    for (int64_t i = 0; i < count; i++)
        kn_store(to, to_type, i, kn_load(from, from_type, i));
}

// A matrix of the backend with values in [-1, 1), a block of them again and again: zeros would
// multiply faster than data does, and so many numbers take longer to make than to multiply.
static enum kn_status random_matrix(struct kn_backend *kn, struct kn_matrix *m, enum kn_type type,
                                    int64_t rows, int64_t cols) {
    enum { BLOCK = 1 << 14 };
    uint32_t block[BLOCK], state = 1; // room for the widest type
    size_t size = kn_type_size(type), bytes = (size_t)rows * (size_t)cols * size;
    void *memory = NULL;
    KN_TRY(kn->ops->alloc(kn, &memory, bytes));
    *m = kn_matrix(memory, type, rows, cols);
    for (int i = 0; i < BLOCK; i++) {
        state = state * 1664525 + 1013904223; // Numerical Recipes' generator
        kn_store(block, type, i, (float)(state >> 8) * 0x1p-23F - 1);
    }
    for (size_t at = 0; at < bytes; at += BLOCK * size)
        KN_TRY(kn->ops->upload(kn, (char *)memory + at, block,
                               bytes - at < BLOCK * size ? bytes - at : BLOCK * size));
    return kn->ops->sync(kn);
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// The first call warms caches, threads and scratch. Slow machines need no repetition to be sure.
static double best_of(struct kn_backend *kn, const struct kn_product *op, int repeats) {
    static const double enough = 0.05; // seconds
    double best = INFINITY, start = seconds_now();
    for (int i = 0; i <= repeats && (i < 2 || seconds_now() - start < enough); i++) {
        double begin = seconds_now();
        if (kn->ops->product(kn, op) != KN_OK || kn->ops->sync(kn) != KN_OK)
            return -1;
        double seconds = seconds_now() - begin;
        best = i > 0 && seconds < best ? seconds : best;
    }
    return best;
}

double kn_product_seconds(struct kn_backend *kn, int64_t n, int64_t m, int64_t k) {
    struct kn_product op = {0};
    enum kn_type type = kn->activation_type;
    double best = -1;
    if (random_matrix(kn, &op.x, type, n, k) == KN_OK &&
        random_matrix(kn, &op.w, type, m, k) == KN_OK &&
        random_matrix(kn, &op.y, type, n, m) == KN_OK)
        best = best_of(kn, &op, 5);
    kn->ops->free(kn, op.y.data);
    kn->ops->free(kn, op.w.data);
    kn->ops->free(kn, op.x.data);
    return best;
}

const char *kn_status_text(enum kn_status status) {
    switch (status) {
    case KN_OK:
        return "no error";
    case KN_ENOMEM:
        return "the backend has no memory left";
    case KN_ESHAPE:
        return "operands disagree in shape or type";
    case KN_EUNSUPPORTED:
        return "the backend does not offer this type or option";
    case KN_EDEVICE:
        return "the device or its library failed";
    }
    return "unknown status";
}
