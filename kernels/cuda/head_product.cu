// SPDX-License-Identifier: Apache-2.0
// Products of heads with a matrix each, as steps of decoding over latents have them. A block has a
// head, a few rows and a stretch of columns; where the head's matrix is as it lies, a thread has a
// column and reads weights beside those of its neighbours, where it is transposed, a warp has a
// column, whose weights lie in a row. Sums are in the order of entries, or of lanes.
#include "device.cuh"

#include <limits.h>

constexpr int HEAD_THREADS = 128, HEAD_WARPS = HEAD_THREADS / WARP;
constexpr int HEAD_ROWS = 8;     // of a block
constexpr int HEAD_COLUMNS = 64; // of a block where the matrix is transposed

// Heads: entry i of head h in row r is data[r * stride + h * pitch + i].
struct head_entries {
    void *data;
    int64_t stride, pitch;
    int dim;
};

struct head_task {
    struct head_entries y, x;
    const void *w; // of the first head
    int64_t w_stride, w_pitch;
    int rows;
};

// A weight as an entry of T: rounded where it is of another type.
template <typename T, typename W> __device__ static float weight_of(W w) {
    return to_float(from_float<T>(to_float(w)));
}

// The rows of x's head that the block has, as f32 [HEAD_ROWS, dim]; zeros where there are none.
template <typename T>
__device__ static void read_entries(float *shared, const head_task &task, int head, int first) {
    for (int i = (int)threadIdx.x; i < HEAD_ROWS * task.x.dim; i += HEAD_THREADS) {
        int row = first + i / task.x.dim;
        const T *from = static_cast<const T *>(task.x.data) + row * task.x.stride +
                        head * task.x.pitch + i % task.x.dim;
        shared[i] = row < task.rows ? to_float(*from) : 0;
    }
    __syncthreads();
}

template <typename T>
__device__ static void write_entry(const head_task &task, int row, int head, int column,
                                   float sum) {
    T *y = static_cast<T *>(task.y.data) + row * task.y.stride + head * task.y.pitch;
    if (row < task.rows)
        y[column] = from_float<T>(sum);
}

template <typename T, typename W>
__global__ void __launch_bounds__(HEAD_THREADS)
    multiply_heads(const __grid_constant__ head_task task) {
    extern __shared__ float x[];
    int head = (int)blockIdx.y, first = (int)blockIdx.z * HEAD_ROWS;
    int column = (int)(blockIdx.x * HEAD_THREADS + threadIdx.x);
    read_entries<T>(x, task, head, first);
    if (column >= task.y.dim)
        return;
    const W *w = static_cast<const W *>(task.w) + head * task.w_pitch + column;
    float sum[HEAD_ROWS] = {};
#pragma unroll 4
    for (int i = 0; i < task.x.dim; i++) {
        float weight = weight_of<T>(w[i * task.w_stride]);
#pragma unroll
        for (int r = 0; r < HEAD_ROWS; r++)
            sum[r] = fmaf(x[r * task.x.dim + i], weight, sum[r]);
    }
#pragma unroll
    for (int r = 0; r < HEAD_ROWS; r++)
        write_entry<T>(task, first + r, head, column, sum[r]);
}

template <typename T, typename W>
__global__ void __launch_bounds__(HEAD_THREADS)
    multiply_heads_transposed(const __grid_constant__ head_task task) {
    extern __shared__ float x[];
    int head = (int)blockIdx.y, first = (int)blockIdx.z * HEAD_ROWS;
    int lane = (int)threadIdx.x % WARP, begin = (int)blockIdx.x * HEAD_COLUMNS;
    int end = min(begin + HEAD_COLUMNS, task.y.dim);
    read_entries<T>(x, task, head, first);
    for (int column = begin + (int)threadIdx.x / WARP; column < end; column += HEAD_WARPS) {
        const W *w = static_cast<const W *>(task.w) + head * task.w_pitch + column * task.w_stride;
        float sum[HEAD_ROWS] = {};
        for (int i = lane; i < task.x.dim; i += WARP) {
            float weight = weight_of<T>(w[i]);
#pragma unroll
            for (int r = 0; r < HEAD_ROWS; r++)
                sum[r] = fmaf(x[r * task.x.dim + i], weight, sum[r]);
        }
#pragma unroll
        for (int r = 0; r < HEAD_ROWS; r++) {
            float all = warp_sum(sum[r]);
            if (lane == 0)
                write_entry<T>(task, first + r, head, column, all);
        }
    }
}

static struct head_entries entries_of(const struct kn_heads *h) {
    char *data = (char *)h->x.data + kn_type_size(h->x.type) * (size_t)h->first_col;
    return (struct head_entries){data, h->x.stride, h->pitch, (int)h->dim};
}

static struct head_task task_of(const struct kn_head_product *op) {
    size_t size = kn_type_size(op->w.type);
    struct head_task task = {};
    task.y = entries_of(&op->y);
    task.x = entries_of(&op->x);
    task.w = (const char *)op->w.data + size * (size_t)(op->first_row * op->w.stride);
    task.w_stride = op->w.stride;
    task.w_pitch = op->row_pitch * op->w.stride;
    task.rows = (int)op->y.x.rows;
    return task;
}

enum kn_status cuda_head_product(struct kn_backend *self, const struct kn_head_product *op) {
    const struct cuda_backend *cuda = cuda_of(self);
    KN_TRY(kn_check_head_product(op, self->activation_type));
    size_t shared = HEAD_ROWS * (size_t)op->x.dim * sizeof(float);
    int64_t each = op->transposed ? HEAD_COLUMNS : HEAD_THREADS;
    if (op->y.x.rows == 0 || op->y.count == 0)
        return KN_OK;
    if (shared > 48 << 10 || op->y.count > USHRT_MAX || op->y.x.rows > HEAD_ROWS * USHRT_MAX ||
        op->y.dim > INT_MAX / 2)
        return KN_EUNSUPPORTED;
    struct head_task task = task_of(op);
    dim3 blocks(blocks_of(op->y.dim, each), (unsigned)op->y.count,
                blocks_of(op->y.x.rows, HEAD_ROWS));
    by_type(op->x.x.type, [&](auto element) {
        by_type(op->w.type, [&](auto weight) {
            using T = decltype(element);
            using W = decltype(weight);
            if (op->transposed)
                multiply_heads_transposed<T, W><<<blocks, HEAD_THREADS, shared, cuda->ops>>>(task);
            else
                multiply_heads<T, W><<<blocks, HEAD_THREADS, shared, cuda->ops>>>(task);
        });
    });
    return cuda_launched(self, "products of heads");
}
