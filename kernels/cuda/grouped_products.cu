// SPDX-License-Identifier: Apache-2.0
// A product per group, as experts have them: in one launch of our own where there is one, else
// through cuBLASLt, groups side by side on lanes.
#include "device.cuh"
#include "products.h"

extern "C" {
#include "reference.h"
}

#include <stdlib.h>

enum kn_status product_lanes_open(struct cuda_backend *cuda) {
    const char *doing = "making lanes for products";
    for (int i = 0; i < CUDA_LANES; i++) {
        KN_TRY(cuda_check(
            &cuda->base, cudaStreamCreateWithFlags(&cuda->lanes[i], cudaStreamNonBlocking), doing));
        KN_TRY(cuda_check(&cuda->base,
                          cudaEventCreateWithFlags(&cuda->joined[i], cudaEventDisableTiming),
                          doing));
    }
    return cuda_check(&cuda->base, cudaEventCreateWithFlags(&cuda->forked, cudaEventDisableTiming),
                      doing);
}

void product_lanes_close(struct cuda_backend *cuda) {
    for (int i = 0; i < CUDA_LANES; i++) {
        if (cuda->lanes[i])
            cudaStreamDestroy(cuda->lanes[i]);
        if (cuda->joined[i])
            cudaEventDestroy(cuda->joined[i]);
    }
    if (cuda->forked)
        cudaEventDestroy(cuda->forked);
}

// The lanes wait for what the ops have been given so far,
static enum kn_status fork(struct kn_backend *self, int lanes) {
    struct cuda_backend *cuda = cuda_of(self);
    cudaError_t code = cudaEventRecord(cuda->forked, cuda->ops);
    for (int i = 0; i < lanes && code == cudaSuccess; i++)
        code = cudaStreamWaitEvent(cuda->lanes[i], cuda->forked, 0);
    return cuda_check(self, code, "forking a grouped product");
}

// and the next op for what they have been given.
static enum kn_status join(struct kn_backend *self, int lanes) {
    struct cuda_backend *cuda = cuda_of(self);
    cudaError_t code = cudaSuccess;
    for (int i = 0; i < lanes && code == cudaSuccess; i++) {
        code = cudaEventRecord(cuda->joined[i], cuda->lanes[i]);
        if (code == cudaSuccess)
            code = cudaStreamWaitEvent(cuda->ops, cuda->joined[i], 0);
    }
    return cuda_check(self, code, "joining a grouped product");
}

// Groups in turn on `lanes` lanes; 0: one after the other with the ops. A group's algorithm does
// not depend on how many there are.
static enum kn_status multiply_groups(struct kn_backend *self, const struct kn_grouped_product *op,
                                      int lanes) {
    const struct cuda_backend *cuda = cuda_of(self);
    const size_t share = CUDA_WORKSPACE_BYTES / CUDA_LANES;
    for (int64_t g = 0, turn = 0; g < op->groups; g++) {
        struct kn_product group = kn_product_of_group(op, g);
        int at = lanes ? (int)(turn % lanes) : 0;
        const struct product_lane lane = {lanes ? cuda->lanes[at] : cuda->ops,
                                          (char *)cuda->workspace + (size_t)at * share, share};
        if (!group.y.rows)
            continue;
        KN_TRY(product_multiply(self, &lane, &group.y, &group.x, &group.w, NULL));
        turn++;
    }
    return KN_OK;
}

// How many rows the groups have, on the host: the library's products have to know. It waits.
static enum kn_status download_groups(struct kn_backend *self, const struct kn_grouped_product *op,
                                      int64_t *first) {
    KN_TRY(self->ops->download(self, first, op->first, (size_t)(op->groups + 1) * sizeof *first));
    return self->ops->sync(self);
}

static enum kn_status multiply_downloaded(struct kn_backend *self,
                                          const struct kn_grouped_product *op) {
    int lanes = op->groups == 1 ? 0 : op->groups < CUDA_LANES ? (int)op->groups : CUDA_LANES;
    KN_TRY(kn_check_groups(op));
    KN_TRY(fork(self, lanes));
    enum kn_status status = multiply_groups(self, op, lanes);
    enum kn_status joined = join(self, lanes);
    KN_TRY(status != KN_OK ? status : joined);
    int64_t rows = kn_rows_of_groups(op);
    struct kn_product done = op->product;
    done.y.rows = done.x.rows = rows;
    if (!rows)
        return KN_OK;
    if (done.activation != KN_IDENTITY)
        KN_TRY(product_activate(self, &done));
    return kn_gate_groups(self, op, rows);
}

static enum kn_status multiply_by_library(struct kn_backend *self,
                                          const struct kn_grouped_product *op) {
    struct kn_grouped_product known = *op;
    if (!op->first)
        return multiply_downloaded(self, op);
    int64_t *first = (int64_t *)malloc((size_t)(op->groups + 1) * sizeof *first);
    if (!first)
        return KN_ENOMEM;
    enum kn_status status = download_groups(self, op, first);
    known.first = first;
    if (status == KN_OK)
        status = multiply_downloaded(self, &known);
    free(first);
    return status;
}

// y += the bias of the row's group. Rows behind those of the groups are left alone.
template <typename T>
__global__ void add_group_biases(T *y, int64_t stride, int64_t rows, int64_t cols,
                                 const float *bias, const int64_t *first, int64_t groups) {
    int64_t at = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, row = at / cols, col = at % cols;
    if (row >= rows || (first && row >= first[groups] - first[0]))
        return;
    int64_t low = 0, high = groups; // of the groups that end behind the row, the first
    while (first && low < high) {
        int64_t middle = (low + high) / 2;
        if (first[middle + 1] - first[0] > row)
            high = middle;
        else
            low = middle + 1;
    }
    T *entry = y + row * stride + col;
    *entry = from_float<T>(to_float(*entry) + bias[low * cols + col]);
}

static enum kn_status add_biases(struct kn_backend *self, const struct kn_grouped_product *op) {
    const struct kn_matrix *y = &op->product.y;
    const int64_t threads = 256, count = y->rows * y->cols;
    by_type(y->type, [&](auto zero) {
        using T = decltype(zero);
        add_group_biases<<<(unsigned)((count + threads - 1) / threads), (unsigned)threads, 0,
                           cuda_of(self)->ops>>>((T *)y->data, y->stride, y->rows, y->cols,
                                                 op->product.bias, op->first, op->groups);
    });
    return cuda_launched(self, "the biases of groups");
}

enum kn_status cuda_grouped_product(struct kn_backend *self, const struct kn_grouped_product *op) {
    KN_TRY(kn_check_grouped_product(op, self->activation_type));
    if (!op->product.y.rows || !op->product.y.cols)
        return KN_OK;
    struct kn_grouped_product typed = *op;
    const void *no_bias;
    const struct kn_product *p = &op->product;
    if (op->groups == 1 && !op->first && op->gated.data &&
        few_rows_take(cuda_of(self), &p->x, &p->w)) {
        const struct few_product few = {op->gated, p->x, p->w, NULL, op->gate, NULL, true, false};
        return few_rows_multiply(self, cuda_of(self)->ops, &few);
    }
    struct kn_product unbiased = op->product;
    unbiased.bias = NULL;
    KN_TRY(product_convert(self, &unbiased, &typed.product.w, &no_bias));
    if (grouped_hopper_takes(cuda_of(self), &typed))
        return grouped_hopper(self, &typed);
    KN_TRY(multiply_by_library(self, &typed));
    return p->bias ? add_biases(self, op) : KN_OK;
}
