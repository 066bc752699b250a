// SPDX-License-Identifier: Apache-2.0
// Attention in f32 for dims to 256 with all options: tiles of 64 queries in shared memory, f32
// multiply-adds in registers, an online softmax. Of 256 threads, 16 across keys or columns (x) and
// 16 down queries (y), each has 4 queries; the 16 of one y are lanes of one warp.
#include "attention.cuh"

enum { SIMT_QUERIES = 64, SIMT_X = 16, SIMT_THREADS = 256, SIMT_EACH = 4 };

// Dims as they are padded in shared memory, with zeros.
template <int DIM> struct simt_shape {
    static constexpr int dim = DIM, keys = DIM > 128 ? 32 : 64;
    static constexpr int stride = DIM + 4; // an odd number of 16 bytes
    static constexpr int weight_stride = keys + 4;
    static constexpr int each_keys = keys / SIMT_X;
    static constexpr int width = DIM < 64 ? DIM / SIMT_X : 4; // columns that are loaded at once
    static constexpr int spans = DIM / (SIMT_X * width);
    static constexpr int bytes =
        4 * ((SIMT_QUERIES + 2 * keys) * stride + SIMT_QUERIES * weight_stride);
};

template <int ROWS, int DIM>
__device__ static void load_tile(float *to, const attention_heads &heads, const float *from,
                                 int end, int dim) {
    for (int i = (int)threadIdx.x; i < ROWS * DIM; i += SIMT_THREADS) {
        int row = i / DIM, column = i % DIM;
        bool is_there = row < end && column < dim;
        to[row * (DIM + 4) + column] = is_there ? from[row * heads.stride + column] : 0;
    }
}

// A thread's queries y * 4 + [0, 4), its keys x + 16 i, and of the columns of every span `width`
// from x * width on.
template <typename S> struct simt_rows {
    float score[SIMT_EACH][S::each_keys], sum[SIMT_EACH][S::spans][S::width];
    float maximum[SIMT_EACH], total[SIMT_EACH]; // total: of the thread's keys
};

template <typename S>
__device__ static void compute_scores(simt_rows<S> &r, const float *q, const float *k) {
    const float *q_row = q + (int)threadIdx.x / SIMT_X * SIMT_EACH * S::stride;
    const float *k_row = k + (int)threadIdx.x % SIMT_X * S::stride;
#pragma unroll
    for (int i = 0; i < SIMT_EACH; i++)
#pragma unroll
        for (int j = 0; j < S::each_keys; j++)
            r.score[i][j] = 0;
#pragma unroll 2
    for (int d = 0; d < S::dim; d += 4) {
        pack<float, 4> a[SIMT_EACH];
#pragma unroll
        for (int i = 0; i < SIMT_EACH; i++)
            a[i] = load<float, 4>(q_row + i * S::stride + d);
#pragma unroll
        for (int j = 0; j < S::each_keys; j++) {
            pack<float, 4> b = load<float, 4>(k_row + j * SIMT_X * S::stride + d);
#pragma unroll
            for (int i = 0; i < SIMT_EACH; i++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    r.score[i][j] = fmaf(a[i].v[e], b.v[e], r.score[i][j]);
        }
    }
}

// `position` is that of the thread's first query, `key` that of the tile's first key.
template <typename S>
__device__ static void finish_scores(simt_rows<S> &r, const attention_task &task, float slope,
                                     int position, int key) {
    key += (int)threadIdx.x % SIMT_X;
#pragma unroll
    for (int i = 0; i < SIMT_EACH; i++) {
        int first = attention_first_key(task, position + i);
#pragma unroll
        for (int j = 0; j < S::each_keys; j++) {
            int here = key + j * SIMT_X;
            r.score[i][j] = here > position + i || here < first
                                ? -INFINITY
                                : attention_score(task, slope, r.score[i][j], position + i, here);
        }
    }
}

// Over the 16 threads of one y.
__device__ static float row_max(float v) {
#pragma unroll
    for (int distance = SIMT_X / 2; distance > 0; distance /= 2)
        v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, distance));
    return v;
}

__device__ static float row_sum(float v) {
#pragma unroll
    for (int distance = SIMT_X / 2; distance > 0; distance /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, distance);
    return v;
}

// Scores become exp(score - maximum), in shared memory.
template <typename S> __device__ static void exponentiate(simt_rows<S> &r, float *weights) {
    int x = (int)threadIdx.x % SIMT_X, y = (int)threadIdx.x / SIMT_X;
#pragma unroll
    for (int i = 0; i < SIMT_EACH; i++) {
        float largest = r.maximum[i];
#pragma unroll
        for (int j = 0; j < S::each_keys; j++)
            largest = fmaxf(largest, r.score[i][j]);
        largest = row_max(largest);
        float shift = largest == -INFINITY ? 0 : largest;
        float correction = exp2f((r.maximum[i] - shift) * ATTENTION_LOG2E);
        r.maximum[i] = largest;
        r.total[i] *= correction;
#pragma unroll
        for (int j = 0; j < S::each_keys; j++) {
            float weight = exp2f((r.score[i][j] - shift) * ATTENTION_LOG2E);
            r.total[i] += weight;
            weights[(y * SIMT_EACH + i) * S::weight_stride + x + j * SIMT_X] = weight;
        }
#pragma unroll
        for (int s = 0; s < S::spans; s++)
#pragma unroll
            for (int e = 0; e < S::width; e++)
                r.sum[i][s][e] *= correction;
    }
}

template <typename S>
__device__ static void add_values(simt_rows<S> &r, const float *weights, const float *v) {
    const float *row = weights + (int)threadIdx.x / SIMT_X * SIMT_EACH * S::weight_stride;
    const float *column = v + (int)threadIdx.x % SIMT_X * S::width;
    for (int k = 0; k < S::keys; k += 4) {
        pack<float, 4> w[SIMT_EACH];
#pragma unroll
        for (int i = 0; i < SIMT_EACH; i++)
            w[i] = load<float, 4>(row + i * S::weight_stride + k);
#pragma unroll
        for (int e = 0; e < 4; e++)
#pragma unroll
            for (int s = 0; s < S::spans; s++) {
                auto b =
                    load<float, S::width>(column + (k + e) * S::stride + s * SIMT_X * S::width);
#pragma unroll
                for (int i = 0; i < SIMT_EACH; i++)
#pragma unroll
                    for (int c = 0; c < S::width; c++)
                        r.sum[i][s][c] = fmaf(w[i].v[e], b.v[c], r.sum[i][s][c]);
            }
    }
}

template <typename S>
__device__ static void write_rows(const simt_rows<S> &r, const attention_task &task, int sequence,
                                  int head, int position) {
#pragma unroll
    for (int i = 0; i < SIMT_EACH; i++, position++) {
        float total = row_sum(r.total[i]) + attention_sink(task, head, r.maximum[i]), zero = 0;
        if (position >= attention_end(task))
            continue;
        float *y = const_cast<float *>(attention_query_row<float>(
            task.y, task, sequence, position, attention_query_head(task, head)));
#pragma unroll
        for (int s = 0; s < S::spans; s++)
#pragma unroll
            for (int e = 0; e < S::width; e++) {
                int column = ((int)threadIdx.x % SIMT_X + s * SIMT_X) * S::width + e;
                float value = r.sum[i][s][e] / total;
                zero = fmaf(value, 0, zero);
                if (column < task.v_dim)
                    y[column] = value;
            }
        if (zero != 0) // NaN: some output is not finite
            attention_mark(task, sequence, head, position);
    }
}

template <typename S>
__global__ void __launch_bounds__(SIMT_THREADS)
    simt_kernel(const __grid_constant__ attention_task task) {
    extern __shared__ __align__(16) unsigned char shared[];
    float *q = reinterpret_cast<float *>(shared), *k = q + SIMT_QUERIES * S::stride;
    float *v = k + S::keys * S::stride, *weights = v + S::keys * S::stride;
    attention_tile tile = attention_tile_of(task, (int)blockIdx.x);
    int first = task.first + tile.tile * SIMT_QUERIES;
    int end = min(first + SIMT_QUERIES, attention_end(task));
    int position = first + (int)threadIdx.x / SIMT_X * SIMT_EACH;
    int key_head = attention_key_head(task, tile.head);
    const float *keys = attention_key_row<float>(task.k, task, tile.sequence, 0, key_head);
    const float *values = attention_key_row<float>(task.v, task, tile.sequence, 0, key_head);
    const float *queries = attention_query_row<float>(task.q, task, tile.sequence, first,
                                                      attention_query_head(task, tile.head));
    float slope = task.slopes[tile.head];
    simt_rows<S> r = {};
#pragma unroll
    for (int i = 0; i < SIMT_EACH; i++)
        r.maximum[i] = -INFINITY;
    load_tile<SIMT_QUERIES, S::dim>(q, task.q, queries, end - first, task.dim);
    for (int key = attention_first_key(task, first); key < end; key += S::keys) {
        load_tile<S::keys, S::dim>(k, task.k, keys + key * task.k.stride, end - key, task.dim);
        load_tile<S::keys, S::dim>(v, task.v, values + key * task.v.stride, end - key, task.v_dim);
        __syncthreads();
        compute_scores<S>(r, q, k);
        finish_scores<S>(r, task, slope, position, key);
        exponentiate<S>(r, weights);
        __syncwarp();
        add_values<S>(r, weights, v);
        __syncthreads();
    }
    write_rows<S>(r, task, tile.sequence, tile.head, position);
}

template <typename S>
static enum kn_status launch_shape(struct kn_backend *self, struct attention_launch *launch) {
    struct attention_task *task = &launch->task;
    task->tiles = (task->queries + SIMT_QUERIES - 1) / SIMT_QUERIES;
    KN_TRY(cuda_check(
        self,
        cudaFuncSetAttribute(simt_kernel<S>, cudaFuncAttributeMaxDynamicSharedMemorySize, S::bytes),
        "shared memory for attention"));
    simt_kernel<S><<<(unsigned)(attention_pairs(*task) * task->tiles), SIMT_THREADS, S::bytes,
                     launch->stream>>>(*task);
    return cuda_launched(self, "attention in f32");
}

bool attention_simt_takes(const struct attention_launch *launch) {
    return launch->type == KN_F32 && launch->task.dim <= 256 && launch->task.v_dim <= 256;
}

enum kn_status attention_simt(struct kn_backend *self, struct attention_launch *launch) {
    int dim = launch->task.dim > launch->task.v_dim ? launch->task.dim : launch->task.v_dim;
    if (dim <= 32)
        return launch_shape<simt_shape<32>>(self, launch);
    if (dim <= 64)
        return launch_shape<simt_shape<64>>(self, launch);
    if (dim <= 128)
        return launch_shape<simt_shape<128>>(self, launch);
    return launch_shape<simt_shape<256>>(self, launch);
}
