// SPDX-License-Identifier: Apache-2.0
// A part of attention over a cache by 16 bytes a thread: LANES lanes have a key's entries, 8 each,
// and the same of its value; a block's other lanes have the next keys. All keys and values of a
// part are on their way into shared memory before the first is used: in registers they would leave
// room for so few blocks that the memory waits for the blocks. A thread reads back what it copied
// itself, so nothing waits for the others' copies. The block that is through last joins the parts.
#include "attention_decode.cuh"
#include "dependent.cuh"

enum { PACK = 8 }; // entries of 16 bits

// The sum over the lanes of a key, in each of them.
template <int LANES> __device__ static float lanes_sum(float value) {
#pragma unroll
    for (int distance = LANES / 2; distance > 0; distance /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}

// Over the lanes that have the same entries of different keys.
template <int LANES> __device__ static float keys_sum(float value) {
#pragma unroll
    for (int distance = LANES; distance < WARP; distance *= 2)
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}

template <int HEADS, int LANES> struct packs_shared {
    float scores[HEADS][DECODE_KEYS];
    float sums[DECODE_WARPS][HEADS][LANES * PACK];
    bool is_last;
};

// Keys that a block takes at a time, how often it does so for a part, and entries of a part's keys,
// or values, in shared memory.
template <int LANES> struct packs_shape {
    static constexpr int keys = DECODE_THREADS / LANES, steps = DECODE_KEYS / keys;
    static constexpr int entries = DECODE_KEYS * LANES * PACK;
};

// Where the pack of this thread's i-th key lies.
__device__ static int pack_at(int i) {
    return (i * DECODE_THREADS + (int)threadIdx.x) * PACK;
}

// This thread's packs of a part's keys, or values, zeros where there is none.
template <typename T, int LANES>
__device__ static void copy_packs(T *tile, const decode_task &task, const attention_heads &heads,
                                  int dim, int sequence, int group, decode_range range) {
    int entry = (int)threadIdx.x % LANES * PACK;
#pragma unroll
    for (int i = 0; i < packs_shape<LANES>::steps; i++) {
        int key = range.begin + (int)threadIdx.x / LANES + i * packs_shape<LANES>::keys;
        bool is_there = key < range.end && entry < dim;
        const T *from = cached<T>(task, heads, sequence, is_there ? key : range.begin, group);
        unsigned to = (unsigned)__cvta_generic_to_shared(tile + pack_at(i));
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to),
                     "l"(from + (is_there ? entry : 0)), "r"(is_there ? 16 : 0)
                     : "memory");
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// All groups of this thread's copies but the last PENDING are there.
template <int PENDING> __device__ static void await_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

template <typename T, int HEADS, int LANES>
__device__ static void score_packs(packs_shared<HEADS, LANES> &shared, const T *tile,
                                   const float (&q)[HEADS][PACK], const decode_task &task,
                                   const decode_place &place, decode_range range, int position) {
#pragma unroll 4
    for (int i = 0; i < packs_shape<LANES>::steps; i++) {
        int key = range.begin + (int)threadIdx.x / LANES + i * packs_shape<LANES>::keys;
        pack<T, PACK> own = load<T, PACK>(tile + pack_at(i));
        float entries[PACK];
#pragma unroll
        for (int j = 0; j < PACK; j++)
            entries[j] = to_float(own.v[j]);
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
            float dot = 0;
#pragma unroll
            for (int j = 0; j < PACK; j++)
                dot = fmaf(q[h][j], entries[j], dot);
            dot = lanes_sum<LANES>(dot);
            if (threadIdx.x % LANES == 0 && key < range.end && h < place.heads)
                shared.scores[h][key - range.begin] =
                    finish_score(task, place.first_head + h, dot, position, key);
        }
    }
}

template <typename T, int HEADS, int LANES>
__device__ static void add_packs(float (&sum)[HEADS][PACK],
                                 const packs_shared<HEADS, LANES> &shared, const T *tile,
                                 decode_range range) {
#pragma unroll 4
    for (int i = 0; i < packs_shape<LANES>::steps; i++) {
        int at = (int)threadIdx.x / LANES + i * packs_shape<LANES>::keys;
        bool is_there = range.begin + at < range.end;
        pack<T, PACK> own = load<T, PACK>(tile + pack_at(i));
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
            float weight = is_there ? shared.scores[h][at] : 0;
#pragma unroll
            for (int j = 0; j < PACK; j++)
                sum[h][j] = fmaf(weight, to_float(own.v[j]), sum[h][j]);
        }
    }
}

// Each head's queries, 8 entries a lane, zeros beyond the last.
template <typename T, int HEADS, int LANES>
__device__ static void read_queries(float (&q)[HEADS][PACK], const decode_task &task,
                                    const decode_place &place) {
    int entry = (int)threadIdx.x % LANES * PACK;
    const T *row = static_cast<const T *>(task.q.data) + place.row * task.q.stride;
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
        pack<T, PACK> own = {};
        if (h < place.heads && entry < task.dim)
            own = load<T, PACK>(row + (place.first_head + h) * task.q.pitch + entry);
#pragma unroll
        for (int j = 0; j < PACK; j++)
            q[h][j] = to_float(own.v[j]);
    }
}

// The warps' sums go into the heads' parts, added up in their order.
template <int HEADS, int LANES>
__device__ static void leave_sums(packs_shared<HEADS, LANES> &shared, float (&sum)[HEADS][PACK],
                                  const decode_task &task, const decode_place &place) {
    int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
#pragma unroll
    for (int h = 0; h < HEADS; h++)
#pragma unroll
        for (int j = 0; j < PACK; j++) {
            float all = keys_sum<LANES>(sum[h][j]);
            if (lane < LANES)
                shared.sums[warp][h][lane * PACK + j] = all;
        }
    __syncthreads();
    for (int i = (int)threadIdx.x; i < place.heads * task.v_dim; i += DECODE_THREADS) {
        int h = i / task.v_dim, column = i % task.v_dim;
        float all = 0;
#pragma unroll
        for (int w = 0; w < DECODE_WARPS; w++)
            all += shared.sums[w][h][column];
        part_of(task, place.row, place.first_head + h, place.split)[2 + column] = all;
    }
}

// Whether the row's other parts for these heads are there; then the count is begun anew.
__device__ static bool is_last_part(const decode_task &task, int position, bool *is_last) {
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        unsigned *count = task.counts + blockIdx.x / (unsigned)task.splits;
        *is_last = atomicAdd(count, 1U) + 1 == (unsigned)parts_of(task, position);
        if (*is_last)
            *count = 0;
    }
    __syncthreads();
    __threadfence();
    return *is_last;
}

template <typename T, int HEADS, int LANES>
__global__ void __launch_bounds__(DECODE_THREADS, HEADS == 1 ? 6 : 2)
    decode_packs(const __grid_constant__ decode_task task) {
    extern __shared__ __align__(16) unsigned char tiles[];
    __shared__ packs_shared<HEADS, LANES> shared;
    T *keys = reinterpret_cast<T *>(tiles), *values = keys + packs_shape<LANES>::entries;
    decode_place place = place_of(task);
    await_previous();
    let_next_begin();
    int position = task.positions[place.row], sequence = task.sequences[place.row];
    decode_range range = range_of(task, position, place.split);
    if (range.begin >= range.end)
        return;
    float q[HEADS][PACK], sum[HEADS][PACK] = {};
    copy_packs<T, LANES>(keys, task, task.k, task.dim, sequence, place.group, range);
    copy_packs<T, LANES>(values, task, task.v, task.v_dim, sequence, place.group, range);
    read_queries<T, HEADS, LANES>(q, task, place);
    await_copies<1>();
    score_packs<T, HEADS, LANES>(shared, keys, q, task, place, range, position);
    __syncthreads();
    for (int h = (int)threadIdx.x / WARP; h < place.heads; h += DECODE_WARPS)
        exponentiate(shared.scores[h], range.end - range.begin,
                     part_of(task, place.row, place.first_head + h, place.split));
    await_copies<0>();
    __syncthreads();
    add_packs<T, HEADS, LANES>(sum, shared, values, range);
    leave_sums<HEADS, LANES>(shared, sum, task, place);
    if (!task.counts || !is_last_part(task, position, &shared.is_last))
        return;
    for (int h = 0; h < place.heads; h++)
        join_parts<T>(task, place.row, place.first_head + h, position);
}

// ---- the host's side ---------------------------------------------------------------------------

static bool is_packed(const struct kn_heads *h) {
    const char *first = (const char *)h->x.data + kn_type_size(h->x.type) * (size_t)h->first_col;
    return is_packable(first, h->x.stride, h->dim, h->x.type, PACK) &&
           (h->pitch % PACK == 0 || h->count == 1);
}

bool decode_packs_take(const struct kn_decode_attention *op) {
    const struct kn_attention *a = &op->attention;
    return a->y.type != KN_F32 && a->q.dim <= WARP * PACK && a->v.dim <= WARP * PACK &&
           is_packed(&a->q) && is_packed(&a->k) && is_packed(&a->v);
}

template <typename T, int HEADS>
static void launch_by_lanes(const struct cuda_backend *cuda, const struct decode_task &task,
                            unsigned blocks) {
    int packs = (task.dim > task.v_dim ? task.dim : task.v_dim) / PACK;
    auto kernel = packs <= 8    ? decode_packs<T, HEADS, 8>
                  : packs <= 16 ? decode_packs<T, HEADS, 16>
                                : decode_packs<T, HEADS, 32>;
    size_t tiles = (size_t)2 * sizeof(T) * DECODE_KEYS * PACK *
                   (packs <= 8    ? 8
                    : packs <= 16 ? 16
                                  : 32); // of keys and of values
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)tiles);
    launch_dependent(cuda, cuda->ops, kernel, dim3(blocks), DECODE_THREADS, tiles, task);
}

template <typename T>
static void launch_by_heads(const struct cuda_backend *cuda, const struct decode_task &task,
                            unsigned blocks) {
    if (task.chunk == 1)
        launch_by_lanes<T, 1>(cuda, task, blocks);
    else if (task.chunk <= 4)
        launch_by_lanes<T, 4>(cuda, task, blocks);
    else
        launch_by_lanes<T, 8>(cuda, task, blocks);
}

void decode_packs_launch(const struct cuda_backend *cuda, enum kn_type type,
                         const struct decode_task &task, unsigned blocks) {
    if (type == KN_F16)
        launch_by_heads<__half>(cuda, task, blocks);
    else
        launch_by_heads<__nv_bfloat16>(cuda, task, blocks);
}
