// SPDX-License-Identifier: Apache-2.0
#include "doubles.h"
#include "lt.h"

static const char doing[] = "a product of doubles";

// ---- the plain way -----------------------------------------------------------------------------

static __global__ void multiply_plainly(struct doubles_product op) {
    int64_t row = blockIdx.y;
    for (int64_t col = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; col < op.n;
         col += (int64_t)gridDim.x * blockDim.x) {
        double sum = 0;
        for (int64_t i = 0; i < op.k; i++)
            sum += op.a.data[row * op.a.stride + i] *
                   op.b.data[op.turned ? col * op.b.stride + i : i * op.b.stride + col];
        double *c = op.c.data + row * op.c.stride + col;
        *c = op.beta == 0 ? op.alpha * sum : op.alpha * sum + op.beta * *c;
    }
}

// Rows are the grid's second dimension, which is short.
static enum kn_status plain(struct kn_backend *self, struct doubles_product op) {
    constexpr int64_t most = 32768;
    int64_t left = op.m;
    for (; left > 0; left -= most) {
        dim3 grid((unsigned)((op.n + 255) / 256), (unsigned)(left < most ? left : most));
        multiply_plainly<<<grid, 256, 0, cuda_of(self)->ops>>>(op);
        op.a.data += most * op.a.stride;
        op.c.data += most * op.c.stride;
    }
    return cuda_launched(self, "a plain product of doubles");
}

// ---- by the library ----------------------------------------------------------------------------

// In cuBLAS's columns the product is c^T = b^T a^T.
struct plan {
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulPreference_t wish;
};

static void destroy(struct plan *plan) {
    if (plan->wish)
        lt->preference_destroy(plan->wish);
    if (plan->c)
        lt->layout_destroy(plan->c);
    if (plan->b)
        lt->layout_destroy(plan->b);
    if (plan->a)
        lt->layout_destroy(plan->a);
    if (plan->desc)
        lt->desc_destroy(plan->desc);
}

static uint32_t alignment_of(const double *data) {
    uint32_t bytes = 8;
    while (bytes < 256 && (uintptr_t)data % (2 * bytes) == 0)
        bytes *= 2;
    return bytes;
}

static enum kn_status describe(struct kn_backend *self, struct plan *plan,
                               const struct doubles_product *op) {
    const cublasOperation_t turned = CUBLAS_OP_T;
    KN_TRY(lt_check(self, lt->desc_create(&plan->desc, CUBLAS_COMPUTE_64F, CUDA_R_64F), doing));
    if (op->turned)
        KN_TRY(lt_check(
            self, lt->desc_set(plan->desc, CUBLASLT_MATMUL_DESC_TRANSA, &turned, sizeof turned),
            doing));
    KN_TRY(lt_check(self,
                    lt->layout_create(&plan->b, CUDA_R_64F, (uint64_t)(op->turned ? op->k : op->n),
                                      (uint64_t)(op->turned ? op->n : op->k), op->b.stride),
                    doing));
    KN_TRY(lt_check(
        self,
        lt->layout_create(&plan->a, CUDA_R_64F, (uint64_t)op->k, (uint64_t)op->m, op->a.stride),
        doing));
    return lt_check(
        self,
        lt->layout_create(&plan->c, CUDA_R_64F, (uint64_t)op->n, (uint64_t)op->m, op->c.stride),
        doing);
}

static enum kn_status run(struct kn_backend *self, const struct plan *plan,
                          const struct doubles_product *op) {
    struct cuda_backend *cuda = cuda_of(self);
    cublasLtMatmulHeuristicResult_t result;
    int count = 0;
    bool found = lt->heuristic(cuda->handle, plan->desc, plan->b, plan->a, plan->c, plan->c,
                               plan->wish, 1, &result, &count) == CUBLAS_STATUS_SUCCESS &&
                 count > 0;
    if (!found)
        return plain(self, *op);
    return lt_check(self,
                    lt->matmul(cuda->handle, plan->desc, &op->alpha, op->b.data, plan->b,
                               op->a.data, plan->a, &op->beta, op->c.data, plan->c, op->c.data,
                               plan->c, &result.algo, cuda->workspace, CUDA_WORKSPACE_BYTES,
                               cuda->ops),
                    doing);
}

enum kn_status multiply_doubles(struct kn_backend *self, const struct doubles_product *op) {
    struct plan plan = {};
    if (!op->m || !op->n || !op->k)
        return KN_OK;
    const uint32_t alignment[] = {alignment_of(op->b.data), alignment_of(op->a.data),
                                  alignment_of(op->c.data)};
    enum kn_status status = describe(self, &plan, op);
    if (status == KN_OK)
        status = lt_wish(self, &plan.wish, CUDA_WORKSPACE_BYTES, alignment);
    if (status == KN_OK)
        status = run(self, &plan, op);
    destroy(&plan);
    return status;
}
