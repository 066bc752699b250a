// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_BACKEND_H
#define CUDA_BACKEND_H

// What the files of the CUDA backend share. cuda*.h and cublas*.h are seen in this folder alone.

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

extern "C" {
#include "blocks.h"
#include "check.h"
#include "kernels/few_bits.h"
#include "kernels/measure.h"
}

constexpr int CUDA_LANES = 4; // streams on which the products of groups run side by side

struct product_plan; // products.cu: the algorithm chosen for one shape

struct cuda_backend {
    struct kn_backend base; // first, so that a handle is either
    struct kn_ops table;
    cudaStream_t ops, copies;
    cudaEvent_t events[KN_EVENTS];
    int device;
    int processors;      // streaming multiprocessors
    int capability;      // 90: 9.0
    size_t shared_bytes; // that one thread block may ask for
    cublasLtHandle_t handle;
    void *workspace; // CUDA_WORKSPACE_BYTES, for cuBLASLt
    cudaStream_t lanes[CUDA_LANES];
    cudaEvent_t forked, joined[CUDA_LANES];
    struct product_plan *plans;
    int plan_count, plan_capacity;
    void *scratch; // grows on demand, lives until the next op that asks
    size_t scratch_bytes;
    unsigned *counts; // [CUDA_COUNTS] for blocks that count each other: 0 between ops
    bool makes_graph; // ops become one
    struct kn_blocks blocks;
};

constexpr size_t CUDA_WORKSPACE_BYTES = 64 << 20;
constexpr int CUDA_COUNTS = 1 << 16;

static inline struct cuda_backend *cuda_of(struct kn_backend *self) {
    return (struct cuda_backend *)self;
}

// KN_OK, or a status with a sentence in self->error.
enum kn_status cuda_check(struct kn_backend *self, cudaError_t code, const char *doing);
// What the last kernel launch said.
enum kn_status cuda_launched(struct kn_backend *self, const char *kernel);
// Device memory of at least `bytes` that the op at hand may use until it returns; ops run one after
// the other, so the next op may have the same memory.
enum kn_status cuda_reserve(struct kn_backend *self, void **memory_p, size_t bytes);

// products.cu, grouped_products.cu, moments.cu
enum kn_status cuda_product(struct kn_backend *self, const struct kn_product *op);
enum kn_status cuda_grouped_product(struct kn_backend *self, const struct kn_grouped_product *op);
enum kn_status cuda_products_open(struct cuda_backend *cuda);
void cuda_products_close(struct cuda_backend *cuda);
enum kn_status cuda_second_moment(struct kn_backend *self, const struct kn_second_moment *op);
// loss.cu
enum kn_status cuda_loss(struct kn_backend *self, const struct kn_loss *op);
enum kn_status cuda_divergence(struct kn_backend *self, const struct kn_divergence *op);
enum kn_status cuda_comparison(struct kn_backend *self, const struct kn_comparison *op);
enum kn_status cuda_advance(struct kn_backend *self, const struct kn_advance *op);
// attention.cu
enum kn_status cuda_attention(struct kn_backend *self, const struct kn_attention *op);
// attention_decode.cu
enum kn_status cuda_decode_attention(struct kn_backend *self, const struct kn_decode_attention *op);
// head_product.cu
enum kn_status cuda_head_product(struct kn_backend *self, const struct kn_head_product *op);
// norms.cu
enum kn_status cuda_norm(struct kn_backend *self, const struct kn_norm *op);
enum kn_status cuda_head_norm(struct kn_backend *self, const struct kn_head_norm *op);
// residual.cu
enum kn_status cuda_block_end(struct kn_backend *self, const struct kn_block_end *op);
enum kn_status cuda_summary(struct kn_backend *self, const struct kn_summary *op);
// elementwise.cu
enum kn_status cuda_rope(struct kn_backend *self, const struct kn_rope *op);
enum kn_status cuda_keep(struct kn_backend *self, const struct kn_keep *op);
enum kn_status cuda_convolution(struct kn_backend *self, const struct kn_convolution *op);
enum kn_status cuda_scan(struct kn_backend *self, const struct kn_scan *op);
enum kn_status cuda_gate(struct kn_backend *self, const struct kn_gate *op);
enum kn_status cuda_scale(struct kn_backend *self, const struct kn_scale *op);
enum kn_status cuda_copy_heads(struct kn_backend *self, const struct kn_copy_heads *op);
enum kn_status cuda_gather(struct kn_backend *self, const struct kn_gather *op);
enum kn_status cuda_combine(struct kn_backend *self, const struct kn_combine *op);
enum kn_status cuda_embed(struct kn_backend *self, const struct kn_embed *op);
enum kn_status cuda_convert(struct kn_backend *self, const struct kn_conversion *op);
// factor.cu
enum kn_status cuda_diagonal(struct kn_backend *self, const struct kn_diagonal *op);
enum kn_status cuda_inverse_factor(struct kn_backend *self, const struct kn_inverse_factor *op);
// compensation.cu
enum kn_status cuda_compensation(struct kn_backend *self, const struct kn_compensation *op);
enum kn_status cuda_squared_outputs(struct kn_backend *self, const struct kn_squared_outputs *op);
// routing.cu
enum kn_status cuda_route(struct kn_backend *self, const struct kn_route *op);

#endif
