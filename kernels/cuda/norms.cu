// SPDX-License-Identifier: Apache-2.0
// Norms of rows and of heads. A row is read once and kept in shared memory.
#include "device.cuh"

struct row_norm {
    const float *x, *addend, *weight, *bias; // addend, weight and bias may be NULL
    int64_t x_stride, addend_stride, y_stride, cols;
    enum kn_norm_kind kind;
    float epsilon;
};

// The row's v = x + addend into shared memory, and the thread's part of the sum of f(v).
template <int WIDTH>
__device__ static float read_row(const struct row_norm &op, float *row, bool squares) {
    const float *x = op.x + (int64_t)blockIdx.x * op.x_stride;
    const float *addend = op.addend + (int64_t)blockIdx.x * op.addend_stride;
    float sum = 0;
    for (int64_t c = (int64_t)threadIdx.x * WIDTH; c < op.cols; c += blockDim.x * WIDTH) {
        pack<float, WIDTH> v = load<float, WIDTH>(x + c);
        if (op.addend) {
            pack<float, WIDTH> a = load<float, WIDTH>(addend + c);
#pragma unroll
            for (int i = 0; i < WIDTH; i++)
                v.v[i] += a.v[i];
        }
#pragma unroll
        for (int i = 0; i < WIDTH; i++)
            sum += squares ? v.v[i] * v.v[i] : v.v[i];
        store(row + c, v);
    }
    return sum;
}

__device__ static float total_of(float sum, float (&shared)[1][WARP]) {
    float sums[1] = {sum};
    __syncthreads(); // whoever still reads `shared`
    block_sum(sums, shared);
    return sums[0];
}

template <int WIDTH>
__device__ static float squares_about(const float *row, int64_t cols, float mean) {
    float sum = 0;
    for (int64_t c = (int64_t)threadIdx.x * WIDTH; c < cols; c += blockDim.x * WIDTH)
#pragma unroll
        for (int i = 0; i < WIDTH; i++)
            sum += (row[c + i] - mean) * (row[c + i] - mean);
    return sum;
}

// One row a block. Each thread reads back what it wrote itself.
template <typename T, int WIDTH> __global__ void norm_rows(T *y, struct row_norm op) {
    extern __shared__ float row[];
    __shared__ float shared[1][WARP];
    bool layer = op.kind == KN_LAYER_NORM;
    float sum = read_row<WIDTH>(op, row, !layer), mean = 0, scale = 1;
    if (op.kind != KN_NO_NORM) {
        sum = total_of(sum, shared);
        if (layer) {
            mean = sum / (float)op.cols;
            sum = total_of(squares_about<WIDTH>(row, op.cols, mean), shared);
        }
        scale = 1 / sqrtf(sum / (float)op.cols + op.epsilon);
    }
    T *to = y + (int64_t)blockIdx.x * op.y_stride;
    for (int64_t c = (int64_t)threadIdx.x * WIDTH; c < op.cols; c += blockDim.x * WIDTH) {
        pack<float, WIDTH> v = load<float, WIDTH>(row + c);
        pack<T, WIDTH> out;
#pragma unroll
        for (int i = 0; i < WIDTH; i++) {
            float value = (v.v[i] - mean) * scale;
            value = op.weight ? value * op.weight[c + i] : value;
            out.v[i] = from_float<T>(op.bias ? value + op.bias[c + i] : value);
        }
        store(to + c, out);
    }
}

template <typename T, int WIDTH>
static enum kn_status launch_norm(struct kn_backend *self, const struct kn_norm *op) {
    bool normed = op->kind != KN_NO_NORM;
    struct row_norm row = {(const float *)op->x.data,
                           (const float *)op->addend.data,
                           normed ? op->weight : NULL,
                           normed ? op->bias : NULL,
                           op->x.stride,
                           op->addend.stride,
                           op->y.stride,
                           op->x.cols,
                           op->kind,
                           op->epsilon};
    size_t bytes = (size_t)op->x.cols * sizeof(float);
    if (bytes + 1024 > cuda_of(self)->shared_bytes)
        return KN_EUNSUPPORTED;
    if (bytes > 47 << 10)
        CUDA_TRY(cuda_check(self,
                            cudaFuncSetAttribute(norm_rows<T, WIDTH>,
                                                 cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                 (int)bytes),
                            "asking for shared memory"));
    norm_rows<T, WIDTH>
        <<<(unsigned)op->x.rows, row_threads(op->x.cols), bytes, cuda_of(self)->ops>>>(
            (T *)op->y.data, row);
    return cuda_launched(self, "a norm");
}

enum kn_status cuda_norm(struct kn_backend *self, const struct kn_norm *op) {
    CUDA_TRY(kn_check_norm(op, self->activation_type));
    if (!op->x.rows || !op->x.cols)
        return KN_OK;
    bool packed = is_packable(&op->x, 4) && is_packable(&op->addend, 4) && is_packable(&op->y, 4);
    enum kn_status status = KN_OK;
    by_type(op->y.type, [&](auto zero) {
        using T = decltype(zero);
        status = packed ? launch_norm<T, 4>(self, op) : launch_norm<T, 1>(self, op);
    });
    return status;
}

// ---- heads -------------------------------------------------------------------------------------

constexpr int HEAD_WARPS = 4;

// One head a warp, in place.
template <typename T> __global__ void norm_heads(struct kn_head_norm op) {
    const struct kn_heads *h = &op.heads;
    int64_t at = (int64_t)blockIdx.x * HEAD_WARPS + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (at >= h->x.rows * h->count)
        return;
    int64_t head = at % h->count;
    T *x = (T *)h->x.data + at / h->count * h->x.stride + h->first_col + head * h->pitch;
    float sum = 0, mean = 0;
    if (op.kind == KN_LAYER_NORM) {
        for (int64_t c = lane; c < h->dim; c += WARP)
            sum += to_float(x[c]);
        mean = warp_sum(sum) / (float)h->dim;
    }
    sum = 0;
    for (int64_t c = lane; c < h->dim; c += WARP)
        sum += (to_float(x[c]) - mean) * (to_float(x[c]) - mean);
    float scale = 1 / sqrtf(warp_sum(sum) / (float)h->dim + op.epsilon);
    int64_t own = head * op.weight_pitch;
    for (int64_t c = lane; c < h->dim; c += WARP) {
        float value = (to_float(x[c]) - mean) * scale;
        value = op.weight ? value * op.weight[own + c] : value;
        x[c] = from_float<T>(op.bias ? value + op.bias[own + c] : value);
    }
}

enum kn_status cuda_head_norm(struct kn_backend *self, const struct kn_head_norm *op) {
    CUDA_TRY(kn_check_head_norm(op, self->activation_type));
    int64_t heads = op->heads.x.rows * op->heads.count;
    if (!heads || op->kind == KN_NO_NORM)
        return KN_OK;
    by_type(op->heads.x.type, [&](auto zero) {
        norm_heads<decltype(zero)>
            <<<blocks_of(heads, HEAD_WARPS), HEAD_WARPS * WARP, 0, cuda_of(self)->ops>>>(*op);
    });
    return cuda_launched(self, "a norm of heads");
}
