// SPDX-License-Identifier: Apache-2.0
// Products through cuBLASLt. The algorithm of a shape is the first that its heuristic names, which
// is the same in every run on one library and one kind of device; none splits a sum over blocks.
// Shapes it has no algorithm for take a plain kernel.
#include "activation.cuh"
#include "lt.h"
#include "products.h"

extern "C" {
#include "reference.h"
}

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What an algorithm is chosen by. y[n,m] = x[n,k] w[m,k]^T, in cuBLAS's columns y^T = w x^T. n is
// rounded up, so that experts with a few rows more or less share an algorithm.
struct product_key {
    int64_t n, m, k, y_stride, x_stride, w_stride;
    enum kn_type type, y_type; // of x and w, of y
    unsigned alignment;        // bytes, of all three
    size_t workspace;          // bytes at most
    bool bias;                 // added by the library, in y's type
    bool columns;              // instead y[n,m] = x[k,n]^T w[k,m]; then k is rounded up, not n
};

struct product_plan {
    struct product_key key;
    bool found;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t w, x, y;
    cublasLtMatmulAlgo_t algorithm;
};

// Where a product runs, and workspace that no other may use meanwhile.
struct lane {
    cudaStream_t stream;
    void *workspace;
    size_t bytes;
};

static const cudaDataType_t data_types[] = {CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF};

static enum kn_status lt_check(struct kn_backend *self, cublasStatus_t code, const char *doing) {
    if (code == CUBLAS_STATUS_SUCCESS)
        return KN_OK;
    snprintf(self->error, sizeof self->error, "%s: %s", doing, lt->status_name(code));
    return KN_EDEVICE;
}

static enum kn_status open_lanes(struct cuda_backend *cuda) {
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

static void close_lanes(struct cuda_backend *cuda) {
    for (int i = 0; i < CUDA_LANES; i++) {
        if (cuda->lanes[i])
            cudaStreamDestroy(cuda->lanes[i]);
        if (cuda->joined[i])
            cudaEventDestroy(cuda->joined[i]);
    }
    if (cuda->forked)
        cudaEventDestroy(cuda->forked);
}

enum kn_status cuda_products_open(struct cuda_backend *cuda) {
    KN_TRY(lt_load(&cuda->base));
    KN_TRY(lt_check(&cuda->base, lt->create(&cuda->handle), "opening cuBLASLt"));
    KN_TRY(open_lanes(cuda));
    return cuda->base.ops->alloc(&cuda->base, &cuda->workspace, CUDA_WORKSPACE_BYTES);
}

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

void cuda_products_close(struct cuda_backend *cuda) {
    for (int i = 0; i < cuda->plan_count; i++)
        destroy_plan(&cuda->plans[i]);
    free(cuda->plans);
    cudaFree(cuda->workspace);
    close_lanes(cuda);
    if (cuda->handle)
        lt->destroy(cuda->handle);
}

// ---- choosing an algorithm ---------------------------------------------------------------------

static enum kn_status set_desc(struct kn_backend *self, struct product_plan *plan,
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
    KN_TRY(set_desc(self, plan, which, &transposed, sizeof transposed));
    if (key->bias) {
        cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
        cudaDataType_t type = data_types[key->y_type];
        KN_TRY(set_desc(self, plan, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
        KN_TRY(set_desc(self, plan, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type, sizeof type));
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

static enum kn_status set_preferences(struct kn_backend *self, cublasLtMatmulPreference_t wish,
                                      const struct product_key *key) {
    const uint64_t workspace = key->workspace;
    const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_NONE;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        const void *value;
        size_t size;
    } wishes[] = {{CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace},
                  {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &key->alignment, 4},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &key->alignment, 4},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &key->alignment, 4},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &key->alignment, 4}};
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
        KN_TRY(lt_check(
            self, lt->preference_set(wish, wishes[i].attribute, wishes[i].value, wishes[i].size),
            "choosing an algorithm"));
    return KN_OK;
}

// plan->found says whether there is an algorithm at all.
static enum kn_status choose(struct kn_backend *self, struct product_plan *plan) {
    cublasLtMatmulPreference_t wish = NULL;
    cublasLtMatmulHeuristicResult_t result;
    int count = 0;
    KN_TRY(lt_check(self, lt->preference_create(&wish), "choosing an algorithm"));
    enum kn_status status = set_preferences(self, wish, &plan->key);
    if (status == KN_OK)
        plan->found = lt->heuristic(cuda_of(self)->handle, plan->desc, plan->w, plan->x, plan->y,
                                    plan->y, wish, 1, &result, &count) == CUBLAS_STATUS_SUCCESS &&
                      count > 0;
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

static enum kn_status plan_for(struct cuda_backend *cuda, const struct product_key *key,
                               struct product_plan **plan_p) {
    for (int i = cuda->plan_count - 1; i >= 0; i--)
        if (memcmp(&cuda->plans[i].key, key, sizeof *key) == 0) {
            *plan_p = &cuda->plans[i];
            return KN_OK;
        }
    return new_plan(cuda, key, plan_p);
}

// ---- the plain kernel --------------------------------------------------------------------------

constexpr int TILE = 16;

template <typename T, typename Y>
__global__ void plain_product(Y *y, int64_t y_stride, const T *x, int64_t x_stride, const T *w,
                              int64_t w_stride, const Y *bias, int64_t n, int64_t m, int64_t k) {
    __shared__ float x_tile[TILE][TILE + 1], w_tile[TILE][TILE + 1];
    int64_t first_row = (int64_t)blockIdx.x * TILE, first_col = (int64_t)blockIdx.y * TILE;
    int64_t row = first_row + threadIdx.y, col = first_col + threadIdx.x;
    float sum = 0;
    for (int64_t i = 0; i < k; i += TILE) {
        int64_t at = i + threadIdx.x, w_row = first_col + threadIdx.y;
        x_tile[threadIdx.y][threadIdx.x] = row < n && at < k ? to_float(x[row * x_stride + at]) : 0;
        w_tile[threadIdx.y][threadIdx.x] =
            w_row < m && at < k ? to_float(w[w_row * w_stride + at]) : 0;
        __syncthreads();
        for (int j = 0; j < TILE; j++)
            sum += x_tile[threadIdx.y][j] * w_tile[threadIdx.x][j];
        __syncthreads();
    }
    if (row < n && col < m)
        y[row * y_stride + col] = from_float<Y>(bias ? sum + to_float(bias[col]) : sum);
}

template <typename T, typename Y>
static void launch_plain(cudaStream_t stream, const struct kn_matrix *y, const struct kn_matrix *x,
                         const struct kn_matrix *w, const void *bias) {
    dim3 blocks(blocks_of(y->rows, TILE), blocks_of(y->cols, TILE)), threads(TILE, TILE);
    plain_product<<<blocks, threads, 0, stream>>>((Y *)y->data, y->stride, (const T *)x->data,
                                                  x->stride, (const T *)w->data, w->stride,
                                                  (const Y *)bias, y->rows, y->cols, x->cols);
}

static enum kn_status multiply_plainly(struct kn_backend *self, cudaStream_t stream,
                                       const struct kn_matrix *y, const struct kn_matrix *x,
                                       const struct kn_matrix *w, const void *bias) {
    if (y->cols > 65535 * (int64_t)TILE)
        return KN_EUNSUPPORTED;
    by_type(x->type, [&](auto zero) {
        using T = decltype(zero);
        if (y->type == KN_F32)
            launch_plain<T, float>(stream, y, x, w, bias);
        else
            launch_plain<T, T>(stream, y, x, w, bias);
    });
    return cuda_launched(self, "a plain product");
}

// ---- one product -------------------------------------------------------------------------------

// The largest power of two, at most 16, that divides address and row length in bytes.
static unsigned alignment_of(const struct kn_matrix *m) {
    uintptr_t bits = (uintptr_t)m->data | (uintptr_t)m->stride * kn_type_size(m->type) | 16;
    return (unsigned)(bits & -bits);
}

// The next of four steps an octave; 64 at least.
static int64_t rounded_rows(int64_t n) {
    int64_t step = 16;
    while (8 * step < n)
        step *= 2;
    int64_t rounded = (n + step - 1) / step * step;
    return rounded < 64 ? 64 : rounded;
}

static struct product_key key_of(const struct lane *lane, const struct kn_matrix *y,
                                 const struct kn_matrix *x, const struct kn_matrix *w, bool bias) {
    struct product_key key;
    memset(&key, 0, sizeof key); // padding too: keys are compared as bytes
    key.n = rounded_rows(y->rows), key.m = y->cols, key.k = x->cols;
    key.y_stride = y->stride, key.x_stride = x->stride, key.w_stride = w->stride;
    key.type = x->type, key.y_type = y->type;
    unsigned a = alignment_of(y), b = alignment_of(x), c = alignment_of(w);
    key.alignment = a < b ? a : b;
    key.alignment = c < key.alignment ? c : key.alignment;
    key.bias = bias;
    key.workspace = lane->bytes;
    return key;
}

// The number of rows at hand, which are the library's columns.
static enum kn_status set_rows(struct kn_backend *self, struct product_plan *plan, uint64_t rows) {
    const cublasLtMatrixLayoutAttribute_t attribute = CUBLASLT_MATRIX_LAYOUT_COLS;
    KN_TRY(lt_check(self, lt->layout_set(plan->x, attribute, &rows, sizeof rows), "a product"));
    return lt_check(self, lt->layout_set(plan->y, attribute, &rows, sizeof rows), "a product");
}

static enum kn_status multiply(struct kn_backend *self, const struct lane *lane,
                               const struct kn_matrix *y, const struct kn_matrix *x,
                               const struct kn_matrix *w, const void *bias) {
    struct cuda_backend *cuda = cuda_of(self);
    const float one = 1, zero = 0;
    struct product_plan *plan = NULL;
    struct product_key key = key_of(lane, y, x, w, bias != NULL);
    if (!bias && few_rows_take(cuda, x, w)) {
        struct few_product few = {};
        few.y = *y, few.x = *x, few.w = *w;
        return few_rows_multiply(self, lane->stream, &few);
    }
    if (!x->cols) // an empty sum is zero
        return multiply_plainly(self, lane->stream, y, x, w, bias);
    KN_TRY(plan_for(cuda, &key, &plan));
    if (!plan->found)
        return multiply_plainly(self, lane->stream, y, x, w, bias);
    if (bias)
        KN_TRY(set_desc(self, plan, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
    KN_TRY(set_rows(self, plan, (uint64_t)y->rows));
    return lt_check(self,
                    lt->matmul(cuda->handle, plan->desc, &one, w->data, plan->w, x->data, plan->x,
                               &zero, y->data, plan->y, y->data, plan->y, &plan->algorithm,
                               lane->workspace, lane->bytes, lane->stream),
                    "a product");
}

enum kn_status cuda_multiply(struct kn_backend *self, const struct kn_matrix *y,
                             const struct kn_matrix *x, const struct kn_matrix *w,
                             const void *bias) {
    struct cuda_backend *cuda = cuda_of(self);
    const struct lane lane = {cuda->ops, cuda->workspace, CUDA_WORKSPACE_BYTES};
    return multiply(self, &lane, y, x, w, bias);
}

// In place: y = activation(y), computed wide and rounded once.
template <typename T>
__global__ void activate_rows(T *y, int64_t stride, int64_t cols, enum kn_activation activation,
                              struct activation_parameters p) {
    T *row = y + (int64_t)blockIdx.x * stride;
    for (int64_t c = threadIdx.x; c < cols; c += blockDim.x)
        row[c] = from_float<T>(activated<T>(activation, p, to_float(row[c])));
}

constexpr int PACK_THREADS = 256, PACKS_EACH = 2;

// The same by packs: the case that costs time. A thread asks for all of its packs before it works
// on the first, or too few bytes are on their way at a time. blockIdx.y is a stretch of a row.
template <typename T, int WIDTH, enum kn_activation ACTIVATION>
__global__ void activate_packs(T *y, int64_t stride, int packs, struct activation_parameters p) {
    int first = (int)(blockIdx.y * PACK_THREADS * PACKS_EACH + threadIdx.x);
    T *row = y + (int64_t)blockIdx.x * stride;
    pack<T, WIDTH> values[PACKS_EACH];
#pragma unroll
    for (int i = 0; i < PACKS_EACH; i++)
        if (first + i * PACK_THREADS < packs)
            values[i] = load<T, WIDTH>(row + (int64_t)(first + i * PACK_THREADS) * WIDTH);
#pragma unroll
    for (int i = 0; i < PACKS_EACH; i++) {
        if (first + i * PACK_THREADS >= packs)
            return;
        float out[WIDTH];
#pragma unroll
        for (int j = 0; j < WIDTH; j++)
            out[j] = activated<T>(ACTIVATION, p, to_float(values[i].v[j]));
        store(row + (int64_t)(first + i * PACK_THREADS) * WIDTH, rounded<T>(out));
    }
}

template <typename T, enum kn_activation ACTIVATION>
static void launch_packs(cudaStream_t stream, const struct kn_matrix *y,
                         struct activation_parameters p) {
    constexpr int WIDTH = 16 / sizeof(T);
    int packs = (int)(y->cols / WIDTH);
    dim3 blocks((unsigned)y->rows, blocks_of(packs, PACK_THREADS * PACKS_EACH));
    activate_packs<T, WIDTH, ACTIVATION>
        <<<blocks, PACK_THREADS, 0, stream>>>((T *)y->data, y->stride, packs, p);
}

static enum kn_status activate_in_place(struct kn_backend *self, const struct kn_product *op) {
    cudaStream_t stream = cuda_of(self)->ops;
    struct activation_parameters p = activation_parameters(op->parameters);
    by_type(op->y.type, [&](auto zero) {
        using T = decltype(zero);
        bool packed = is_packable(&op->y, (int64_t)(16 / sizeof(T)));
        if (packed && op->activation == KN_GELU_ERF)
            launch_packs<T, KN_GELU_ERF>(stream, &op->y, p);
        else if (packed && op->activation == KN_GELU_TANH)
            launch_packs<T, KN_GELU_TANH>(stream, &op->y, p);
        else if (packed && op->activation == KN_SILU)
            launch_packs<T, KN_SILU>(stream, &op->y, p);
        else if (packed && op->activation == KN_RELU)
            launch_packs<T, KN_RELU>(stream, &op->y, p);
        else if (packed && op->activation == KN_RELU_SQUARED)
            launch_packs<T, KN_RELU_SQUARED>(stream, &op->y, p);
        else
            activate_rows<<<(unsigned)op->y.rows, row_threads(op->y.cols), 0, stream>>>(
                (T *)op->y.data, op->y.stride, op->y.cols, op->activation, p);
    });
    return cuda_launched(self, "an activation");
}

// Scratch of a product: w in x's type, and the bias in y's, each where it is needed.
static enum kn_status convert_operands(struct kn_backend *self, const struct kn_product *op,
                                       struct kn_matrix *w, const void **bias_p) {
    bool other_w = op->w.type != op->x.type, other_bias = op->bias && op->y.type != KN_F32;
    size_t w_bytes = other_w ? (size_t)(op->w.rows * op->w.cols) * kn_type_size(op->x.type) : 0;
    size_t bias_bytes = other_bias ? (size_t)op->y.cols * kn_type_size(op->y.type) : 0;
    void *memory = NULL;
    w_bytes = (w_bytes + 255) & ~(size_t)255;
    *w = op->w;
    *bias_p = op->bias;
    KN_TRY(cuda_reserve(self, &memory, w_bytes + bias_bytes));
    if (other_w) {
        *w = kn_matrix(memory, op->x.type, op->w.rows, op->w.cols);
        KN_TRY(cuda_convert_matrix(self, w, &op->w));
    }
    if (!other_bias)
        return KN_OK;
    *bias_p = (char *)memory + w_bytes;
    struct kn_conversion conversion = {(char *)memory + w_bytes, op->bias, op->y.type, KN_F32,
                                       op->y.cols};
    return cuda_convert(self, &conversion);
}

enum kn_status cuda_product(struct kn_backend *self, const struct kn_product *op) {
    KN_TRY(kn_check_product(op, self->activation_type));
    if (!op->y.rows || !op->y.cols)
        return KN_OK;
    struct kn_matrix w;
    const void *bias;
    if (few_rows_take(cuda_of(self), &op->x, &op->w)) {
        const struct few_product few = {op->y,          op->x,          op->w, op->bias,
                                        op->activation, op->parameters, false};
        return few_rows_multiply(self, cuda_of(self)->ops, &few);
    }
    KN_TRY(convert_operands(self, op, &w, &bias));
    struct kn_grouped_product one = {};
    one.product = *op, one.product.w = w, one.groups = 1;
    if (op->activation != KN_IDENTITY && grouped_hopper_takes(cuda_of(self), &one))
        return grouped_hopper(self, &one);
    KN_TRY(cuda_multiply(self, &op->y, &op->x, &w, bias));
    return op->activation == KN_IDENTITY ? KN_OK : activate_in_place(self, op);
}

// ---- a product per group -----------------------------------------------------------------------

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
        const struct lane lane = {lanes ? cuda->lanes[at] : cuda->ops,
                                  (char *)cuda->workspace + (size_t)at * share, share};
        if (!group.y.rows)
            continue;
        KN_TRY(multiply(self, &lane, &group.y, &group.x, &group.w, NULL));
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
        KN_TRY(activate_in_place(self, &done));
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
        const struct few_product few = {op->gated, p->x, p->w, NULL, op->gate, NULL, true};
        return few_rows_multiply(self, cuda_of(self)->ops, &few);
    }
    struct kn_product unbiased = op->product;
    unbiased.bias = NULL;
    KN_TRY(convert_operands(self, &unbiased, &typed.product.w, &no_bias));
    if (grouped_hopper_takes(cuda_of(self), &typed))
        return grouped_hopper(self, &typed);
    KN_TRY(multiply_by_library(self, &typed));
    return p->bias ? add_biases(self, op) : KN_OK;
}

// ---- second moments ----------------------------------------------------------------------------

constexpr int64_t MOMENT_ROWS = 2048; // of a panel, whose sums in f32 are scratch

// y[row + i, j] += sums[i, j] where j <= row + i; `width` columns of sums.
static __global__ void add_moments(double *y, int64_t cols, const float *sums, int64_t width,
                                   int64_t row) {
    int64_t i = blockIdx.x;
    for (int64_t j = threadIdx.x; j <= row + i && j < width; j += blockDim.x)
        y[(row + i) * cols + j] += (double)sums[i * width + j];
}

// The same sums for shapes that the library has no algorithm for.
template <typename T>
__global__ void plain_moments(float *sums, int64_t width, const T *x, int64_t stride, int64_t rows,
                              int64_t row) {
    int64_t i = blockIdx.x;
    for (int64_t j = threadIdx.x; j < width; j += blockDim.x) {
        float sum = 0;
        for (int64_t r = 0; r < rows; r++)
            sum += to_float(x[r * stride + row + i]) * to_float(x[r * stride + j]);
        sums[i * width + j] = sum;
    }
}

static struct product_key moment_key(const struct kn_matrix *sums, const struct kn_matrix *left,
                                     const struct kn_matrix *x) {
    struct product_key key;
    memset(&key, 0, sizeof key);
    key.n = sums->rows, key.m = sums->cols, key.k = rounded_rows(x->rows);
    key.y_stride = sums->stride, key.x_stride = key.w_stride = x->stride;
    key.type = x->type, key.y_type = KN_F32;
    unsigned a = alignment_of(sums), b = alignment_of(left), c = alignment_of(x);
    key.alignment = a < b ? a : b;
    key.alignment = c < key.alignment ? c : key.alignment;
    key.columns = true;
    key.workspace = CUDA_WORKSPACE_BYTES;
    return key;
}

// sums[i, j] = left[:, i] . x[:, j] for the sums' columns j.
static enum kn_status sum_moments(struct kn_backend *self, const struct kn_matrix *sums,
                                  const struct kn_matrix *left, const struct kn_matrix *x,
                                  int64_t row) {
    struct cuda_backend *cuda = cuda_of(self);
    const cublasLtMatrixLayoutAttribute_t attribute = CUBLASLT_MATRIX_LAYOUT_COLS;
    const float one = 1, zero = 0;
    const uint64_t depth = (uint64_t)x->rows;
    struct product_plan *plan;
    struct product_key key = moment_key(sums, left, x);
    KN_TRY(plan_for(cuda, &key, &plan));
    if (!plan->found) {
        by_type(x->type, [&](auto none) {
            using T = decltype(none);
            plain_moments<<<(unsigned)sums->rows, 256, 0, cuda->ops>>>(
                (float *)sums->data, sums->cols, (const T *)x->data, x->stride, x->rows, row);
        });
        return cuda_launched(self, "a plain second moment");
    }
    KN_TRY(lt_check(self, lt->layout_set(plan->w, attribute, &depth, sizeof depth), "a moment"));
    KN_TRY(lt_check(self, lt->layout_set(plan->x, attribute, &depth, sizeof depth), "a moment"));
    return lt_check(self,
                    lt->matmul(cuda->handle, plan->desc, &one, x->data, plan->w, left->data,
                               plan->x, &zero, sums->data, plan->y, sums->data, plan->y,
                               &plan->algorithm, cuda->workspace, CUDA_WORKSPACE_BYTES, cuda->ops),
                    "a second moment");
}

enum kn_status cuda_second_moment(struct kn_backend *self, const struct kn_second_moment *op) {
    KN_TRY(kn_check_second_moment(op, self->activation_type));
    int64_t cols = op->x.cols, panel = cols < MOMENT_ROWS ? cols : MOMENT_ROWS;
    void *memory;
    if (!op->x.rows || !cols)
        return KN_OK;
    KN_TRY(cuda_reserve(self, &memory, (size_t)(panel * cols) * sizeof(float)));
    for (int64_t row = 0; row < cols; row += panel) {
        int64_t rows = cols - row < panel ? cols - row : panel, width = row + rows;
        struct kn_matrix sums = kn_matrix(memory, KN_F32, rows, width), left = op->x;
        left.data = (char *)op->x.data + (size_t)row * kn_type_size(op->x.type);
        KN_TRY(sum_moments(self, &sums, &left, &op->x, row));
        add_moments<<<(unsigned)rows, 256, 0, cuda_of(self)->ops>>>(
            op->y, cols, (const float *)memory, width, row);
        KN_TRY(cuda_launched(self, "adding a second moment"));
    }
    return KN_OK;
}
