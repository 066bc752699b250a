// SPDX-License-Identifier: Apache-2.0
// Which algorithm of cuBLASLt a product runs by: the first that its heuristic names for the shape,
// which is the same in every run on one library and one kind of device; none splits a sum over
// blocks.
#include "lt_plans.h"

#include <stdlib.h>
#include <string.h>

static const cudaDataType_t data_types[] = {CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF};

static void destroy_plan(struct product_plan *plan) {
    if (plan->desc)
        lt->desc_destroy(plan->desc);
    if (plan->w)
        lt->layout_destroy(plan->w);
    if (plan->x)
        lt->layout_destroy(plan->x);
    if (plan->y)
        lt->layout_destroy(plan->y);
}

void lt_plans_free(struct cuda_backend *cuda) {
    for (int i = 0; i < cuda->plan_count; i++)
        destroy_plan(&cuda->plans[i]);
    free(cuda->plans);
}

enum kn_status lt_set_desc(struct kn_backend *self, struct product_plan *plan,
                           cublasLtMatmulDescAttributes_t attribute, const void *value,
                           size_t size) {
    return lt_check(self, lt->desc_set(plan->desc, attribute, value, size), "describing a product");
}

static enum kn_status make_layout(struct kn_backend *self, cublasLtMatrixLayout_t *layout_p,
                                  enum kn_type type, int64_t rows, int64_t cols, int64_t stride) {
    return lt_check(
        self, lt->layout_create(layout_p, data_types[type], (uint64_t)rows, (uint64_t)cols, stride),
        "describing a matrix");
}

static enum kn_status describe(struct kn_backend *self, struct product_plan *plan) {
    const struct product_key *key = &plan->key;
    cublasComputeType_t compute =
        key->type == KN_F32 ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F;
    cublasOperation_t transposed = CUBLAS_OP_T;
    cublasLtMatmulDescAttributes_t which =
        key->columns ? CUBLASLT_MATMUL_DESC_TRANSB : CUBLASLT_MATMUL_DESC_TRANSA;
    KN_TRY(
        lt_check(self, lt->desc_create(&plan->desc, compute, CUDA_R_32F), "describing a product"));
    KN_TRY(lt_set_desc(self, plan, which, &transposed, sizeof transposed));
    if (key->bias) {
        cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
        cudaDataType_t type = data_types[key->y_type];
        KN_TRY(lt_set_desc(self, plan, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
        KN_TRY(lt_set_desc(self, plan, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type, sizeof type));
    }
    if (key->columns) {
        KN_TRY(make_layout(self, &plan->w, key->type, key->m, key->k, key->w_stride));
        KN_TRY(make_layout(self, &plan->x, key->type, key->n, key->k, key->x_stride));
    } else {
        KN_TRY(make_layout(self, &plan->w, key->type, key->k, key->m, key->w_stride));
        KN_TRY(make_layout(self, &plan->x, key->type, key->k, key->n, key->x_stride));
    }
    return make_layout(self, &plan->y, key->y_type, key->m, key->n, key->y_stride);
}

// plan->found says whether there is an algorithm at all.
static enum kn_status choose(struct kn_backend *self, struct product_plan *plan) {
    cublasLtMatmulPreference_t wish = NULL;
    cublasLtMatmulHeuristicResult_t result;
    const uint32_t bytes = plan->key.alignment, alignment[] = {bytes, bytes, bytes};
    int count = 0;
    enum kn_status status = lt_wish(self, &wish, plan->key.workspace, alignment);
    if (status == KN_OK)
        plan->found = lt->heuristic(cuda_of(self)->handle, plan->desc, plan->w, plan->x, plan->y,
                                    plan->y, wish, 1, &result, &count) == CUBLAS_STATUS_SUCCESS &&
                      count > 0;
    if (wish)
        lt->preference_destroy(wish);
    if (plan->found)
        plan->algorithm = result.algo;
    return status;
}

static enum kn_status new_plan(struct cuda_backend *cuda, const struct product_key *key,
                               struct product_plan **plan_p) {
    if (cuda->plan_count == cuda->plan_capacity) {
        int capacity = cuda->plan_capacity ? 2 * cuda->plan_capacity : 32;
        void *plans = realloc(cuda->plans, (size_t)capacity * sizeof *cuda->plans);
        if (!plans)
            return KN_ENOMEM;
        cuda->plans = (struct product_plan *)plans;
        cuda->plan_capacity = capacity;
    }
    struct product_plan plan = {};
    plan.key = *key;
    enum kn_status status = describe(&cuda->base, &plan);
    if (status == KN_OK)
        status = choose(&cuda->base, &plan);
    if (status != KN_OK) {
        destroy_plan(&plan);
        return status;
    }
    *plan_p = &cuda->plans[cuda->plan_count++];
    **plan_p = plan;
    return KN_OK;
}

enum kn_status lt_plan_for(struct cuda_backend *cuda, const struct product_key *key,
                           struct product_plan **plan_p) {
    for (int i = cuda->plan_count - 1; i >= 0; i--)
        if (memcmp(&cuda->plans[i].key, key, sizeof *key) == 0) {
            *plan_p = &cuda->plans[i];
            return KN_OK;
        }
    return new_plan(cuda, key, plan_p);
}

static unsigned alignment_of(const struct kn_matrix *m) {
    uintptr_t bits = (uintptr_t)m->data | (uintptr_t)m->stride * kn_type_size(m->type) | 16;
    return (unsigned)(bits & -bits);
}

unsigned lt_alignment(const struct kn_matrix *a, const struct kn_matrix *b,
                      const struct kn_matrix *c) {
    unsigned least = alignment_of(a), others[] = {alignment_of(b), alignment_of(c)};
    for (unsigned other : others)
        least = other < least ? other : least;
    return least;
}

int64_t lt_rounded_rows(int64_t n) {
    int64_t step = 16;
    while (8 * step < n)
        step *= 2;
    int64_t rounded = (n + step - 1) / step * step;
    return rounded < 64 ? 64 : rounded;
}
