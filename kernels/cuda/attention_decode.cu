// SPDX-License-Identifier: Apache-2.0
// Attention of single queries over a cache, split along the keys, because a batch of few sequences
// would leave most of the chip idle. A block takes one part of the keys for a few query heads that
// share them: scores (a warp a key, lanes along a head's entries), weights, sums of values (a
// thread a column); where heads can be read by 16 bytes, attention_decode_packs.cu does it. The
// parts of each head are put together in their order, by the last block or by another kernel. Parts
// are as long on every device, so the bits do not depend on it; keys that a query does not see are
// not read.
#include "attention_decode.cuh"
#include "dependent.cuh"

#include <limits.h>

// What a block shares: queries [DECODE_HEADS, dim] and scores [DECODE_HEADS, DECODE_KEYS].
struct decode_block {
    float *q, *scores;
    struct decode_place place;
    int position, sequence;
};

template <typename T>
__device__ static void load_queries(const decode_task &task, const decode_block &b) {
    const T *row = static_cast<const T *>(task.q.data) + b.place.row * task.q.stride;
    for (int i = (int)threadIdx.x; i < b.place.heads * task.dim; i += DECODE_THREADS)
        b.q[i] = to_float(row[(b.place.first_head + i / task.dim) * task.q.pitch + i % task.dim]);
}

template <typename T>
__device__ static void compute_scores(const decode_task &task, const decode_block &b,
                                      decode_range range) {
    int lane = (int)threadIdx.x % WARP;
    for (int key = range.begin + (int)threadIdx.x / WARP; key < range.end; key += DECODE_WARPS) {
        const T *k = cached<T>(task, task.k, b.sequence, key, b.place.group);
        float dot[DECODE_HEADS] = {};
        for (int i = lane; i < task.dim; i += WARP) {
            float entry = to_float(k[i]);
#pragma unroll
            for (int h = 0; h < DECODE_HEADS; h++)
                if (h < b.place.heads)
                    dot[h] = fmaf(b.q[h * task.dim + i], entry, dot[h]);
        }
#pragma unroll
        for (int h = 0; h < DECODE_HEADS; h++) {
            float sum = warp_sum(dot[h]);
            if (lane == 0 && h < b.place.heads)
                b.scores[h * DECODE_KEYS + key - range.begin] =
                    finish_score(task, b.place.first_head + h, sum, b.position, key);
        }
    }
}

template <typename T>
__device__ static void add_values(const decode_task &task, const decode_block &b,
                                  decode_range range) {
    for (int column = (int)threadIdx.x; column < task.v_dim; column += DECODE_THREADS) {
        float sum[DECODE_HEADS] = {};
        for (int key = range.begin; key < range.end; key++) {
            float v = to_float(cached<T>(task, task.v, b.sequence, key, b.place.group)[column]);
#pragma unroll
            for (int h = 0; h < DECODE_HEADS; h++)
                if (h < b.place.heads)
                    sum[h] = fmaf(b.scores[h * DECODE_KEYS + key - range.begin], v, sum[h]);
        }
#pragma unroll
        for (int h = 0; h < DECODE_HEADS; h++)
            if (h < b.place.heads)
                part_of(task, b.place.row, b.place.first_head + h, b.place.split)[2 + column] =
                    sum[h];
    }
}

template <typename T>
__global__ void __launch_bounds__(DECODE_THREADS)
    decode_parts(const __grid_constant__ decode_task task) {
    extern __shared__ __align__(16) unsigned char shared[];
    decode_block b;
    b.place = place_of(task);
    b.position = task.positions[b.place.row];
    b.sequence = task.sequences[b.place.row];
    b.q = reinterpret_cast<float *>(shared);
    b.scores = b.q + DECODE_HEADS * task.dim;
    decode_range range = range_of(task, b.position, b.place.split);
    if (range.begin >= range.end)
        return;
    load_queries<T>(task, b);
    __syncthreads();
    compute_scores<T>(task, b, range);
    __syncthreads();
    for (int h = (int)threadIdx.x / WARP; h < b.place.heads; h += DECODE_WARPS)
        exponentiate(b.scores + h * DECODE_KEYS, range.end - range.begin,
                     part_of(task, b.place.row, b.place.first_head + h, b.place.split));
    __syncthreads();
    add_values<T>(task, b, range);
}

// A block a row and head: the parts one after the other.
template <typename T>
__global__ void __launch_bounds__(DECODE_THREADS)
    decode_join(const __grid_constant__ decode_task task) {
    int row = (int)blockIdx.x / task.heads, head = (int)blockIdx.x % task.heads;
    await_previous();
    let_next_begin();
    join_parts<T>(task, row, head, task.positions[row]);
}

static struct attention_heads heads_of(const struct kn_heads *h) {
    const char *data = (const char *)h->x.data + kn_type_size(h->x.type) * (size_t)h->first_col;
    return (struct attention_heads){data, h->x.stride, h->pitch, false};
}

static struct decode_task task_of(const struct kn_decode_attention *op) {
    const struct kn_attention *a = &op->attention;
    struct kn_heads y = {a->y, 0, a->q.count, a->v.dim, a->v.dim};
    struct decode_task task = {};
    int64_t seen = a->window > 0 && a->window < op->keys ? a->window : op->keys;
    task.y = heads_of(&y);
    task.q = heads_of(&a->q);
    task.k = heads_of(&a->k);
    task.v = heads_of(&a->v);
    task.positions = op->positions;
    task.sequences = op->sequences;
    task.keys = op->keys;
    task.rows = (int)a->y.rows;
    task.heads = (int)a->q.count;
    task.group = (int)(a->q.count / a->k.count);
    task.chunk = task.group < DECODE_HEADS ? task.group : DECODE_HEADS;
    task.chunks = (task.group + task.chunk - 1) / task.chunk;
    task.dim = (int)a->q.dim;
    task.v_dim = (int)a->v.dim;
    task.splits = (int)((seen + DECODE_KEYS - 1) / DECODE_KEYS);
    task.window = a->window < INT_MAX ? (int)a->window : 0;
    task.scale = a->scale;
    task.softcap = a->softcap;
    task.in_chunks = a->chunks && task.window > 0;
    task.slopes_bf16 = a->slopes_bf16;
    task.sinks = a->sinks;
    return task;
}

// The parts, then the slopes.
static enum kn_status reserve(struct kn_backend *self, struct decode_task *task,
                              const float *slopes) {
    size_t heads = (size_t)task->rows * (size_t)task->heads * (size_t)task->splits;
    size_t parts = heads * (size_t)(2 + task->v_dim);
    size_t count = slopes ? (size_t)task->heads : 0;
    void *memory;
    KN_TRY(cuda_reserve(self, &memory, (parts + count) * sizeof(float)));
    task->parts = (float *)memory;
    if (!slopes)
        return KN_OK;
    task->slopes = task->parts + parts;
    return cuda_check(self,
                      cudaMemcpyAsync(task->parts + parts, slopes, count * sizeof(float),
                                      cudaMemcpyHostToDevice, cuda_of(self)->ops),
                      "copying slopes");
}

enum kn_status cuda_decode_attention(struct kn_backend *self,
                                     const struct kn_decode_attention *op) {
    const struct kn_attention *a = &op->attention;
    KN_TRY(kn_check_decode_attention(op, self->activation_type));
    size_t shared = DECODE_HEADS * ((size_t)a->q.dim + DECODE_KEYS) * sizeof(float);
    if (a->y.rows == 0)
        return KN_OK;
    if (shared > 48 << 10 || a->y.rows > INT_MAX / a->q.count || a->v.dim > INT_MAX / 2 ||
        op->keys > INT_MAX - DECODE_KEYS)
        return KN_EUNSUPPORTED;
    struct decode_task task = task_of(op);
    int64_t blocks = (int64_t)task.rows * (task.heads / task.group) * task.chunks * task.splits;
    if (blocks > INT_MAX)
        return KN_EUNSUPPORTED;
    KN_TRY(reserve(self, &task, a->slopes));
    const struct cuda_backend *cuda = cuda_of(self);
    bool packed = decode_packs_take(op);
    if (packed) {
        task.counts = blocks / task.splits <= CUDA_COUNTS ? cuda->counts : NULL;
        decode_packs_launch(cuda, a->y.type, task, (unsigned)blocks);
    }
    if (task.counts)
        return cuda_launched(self, "attention over a cache");
    by_type(a->y.type, [&](auto element) {
        using T = decltype(element);
        if (!packed)
            decode_parts<T><<<(unsigned)blocks, DECODE_THREADS, shared, cuda->ops>>>(task);
        launch_dependent(cuda, cuda->ops, task.rows, decode_join<T>,
                         dim3((unsigned)(task.rows * task.heads)), DECODE_THREADS, 0, task);
    });
    return cuda_launched(self, "attention over a cache");
}
