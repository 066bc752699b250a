// SPDX-License-Identifier: Apache-2.0
// Products through cuBLASLt. Shapes it has no algorithm for take a plain kernel; 16 rows or less
// take that of few_rows.cu.
#include "activation.cuh"
#include "lt_plans.h"
#include "products.h"

#include <string.h>

enum kn_status cuda_products_open(struct cuda_backend *cuda) {
    KN_TRY(lt_load(&cuda->base));
    KN_TRY(lt_check(&cuda->base, lt->create(&cuda->handle), "opening cuBLASLt"));
    KN_TRY(product_lanes_open(cuda));
    return cuda->base.ops->alloc(&cuda->base, &cuda->workspace, CUDA_WORKSPACE_BYTES);
}

void cuda_products_close(struct cuda_backend *cuda) {
    lt_plans_free(cuda);
    cudaFree(cuda->workspace);
    product_lanes_close(cuda);
    if (cuda->handle)
        lt->destroy(cuda->handle);
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

static struct product_key key_of(const struct product_lane *lane, const struct kn_matrix *y,
                                 const struct kn_matrix *x, const struct kn_matrix *w, bool bias) {
    struct product_key key;
    memset(&key, 0, sizeof key); // padding too: keys are compared as bytes
    key.n = lt_rounded_rows(y->rows), key.m = y->cols, key.k = x->cols;
    key.y_stride = y->stride, key.x_stride = x->stride, key.w_stride = w->stride;
    key.type = x->type, key.y_type = y->type;
    key.alignment = lt_alignment(y, x, w);
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

enum kn_status product_multiply(struct kn_backend *self, const struct product_lane *lane,
                                const struct kn_matrix *y, const struct kn_matrix *x,
                                const struct kn_matrix *w, const void *bias) {
    struct cuda_backend *cuda = cuda_of(self);
    const float one = 1, zero = 0;
    struct product_plan *plan = NULL;
    struct product_key key = key_of(lane, y, x, w, bias != NULL);
    if (!bias && few_rows_take(cuda, x, w)) {
        struct few_product few = {};
        few.y = *y, few.x = *x, few.w = *w, few.fresh = true; // perhaps product_convert's
        return few_rows_multiply(self, lane->stream, &few);
    }
    if (!x->cols) // an empty sum is zero
        return multiply_plainly(self, lane->stream, y, x, w, bias);
    KN_TRY(lt_plan_for(cuda, &key, &plan));
    if (!plan->found)
        return multiply_plainly(self, lane->stream, y, x, w, bias);
    if (bias)
        KN_TRY(lt_set_desc(self, plan, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
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
    const struct product_lane lane = {cuda->ops, cuda->workspace, CUDA_WORKSPACE_BYTES};
    return product_multiply(self, &lane, y, x, w, bias);
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

enum kn_status product_activate(struct kn_backend *self, const struct kn_product *op) {
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
enum kn_status product_convert(struct kn_backend *self, const struct kn_product *op,
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
                                        op->activation, op->parameters, false, false};
        return few_rows_multiply(self, cuda_of(self)->ops, &few);
    }
    KN_TRY(product_convert(self, op, &w, &bias));
    struct kn_grouped_product one = {};
    one.product = *op, one.product.w = w, one.groups = 1;
    if (op->activation != KN_IDENTITY && grouped_hopper_takes(cuda_of(self), &one))
        return grouped_hopper(self, &one);
    KN_TRY(cuda_multiply(self, &op->y, &op->x, &w, bias));
    return op->activation == KN_IDENTITY ? KN_OK : product_activate(self, op);
}
