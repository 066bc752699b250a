// SPDX-License-Identifier: Apache-2.0
// A part of attention over a cache by 16 bytes a thread: LANES lanes have a key's entries, 8 each,
// and the same of its value; a block's other lanes have the next keys. All keys and values of a
// part are asked for before the first is used.
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
};

// Keys that a block takes at a time, and how often it does so for a part.
template <int LANES> struct packs_shape {
    static constexpr int keys = DECODE_THREADS / LANES, steps = DECODE_KEYS / keys;
    static constexpr int ahead = steps < 8 ? steps : 8; // loads that are on their way
};

// Entries of `ahead` keys, or values, from step `first` on: zeros where there is none.
template <typename T, int LANES, int AHEAD>
__device__ static void read_packs(pack<T, PACK> (&packs)[AHEAD], const decode_task &task,
                                  const attention_heads &heads, int dim, int sequence, int group,
                                  decode_range range, int first) {
    int entry = (int)threadIdx.x % LANES * PACK;
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
        int key = range.begin + (int)threadIdx.x / LANES + (first + i) * packs_shape<LANES>::keys;
        packs[i] = {};
        if (key < range.end && entry < dim)
            packs[i] = load<T, PACK>(cached<T>(task, heads, sequence, key, group) + entry);
    }
}

template <typename T, int HEADS, int LANES, int AHEAD>
__device__ static void
score_packs(packs_shared<HEADS, LANES> &shared, const pack<T, PACK> (&keys)[AHEAD],
            const float (&q)[HEADS][PACK], const decode_task &task, const decode_place &place,
            decode_range range, int position, int first) {
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
        int key = range.begin + (int)threadIdx.x / LANES + (first + i) * packs_shape<LANES>::keys;
        float entries[PACK];
#pragma unroll
        for (int j = 0; j < PACK; j++)
            entries[j] = to_float(keys[i].v[j]);
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

template <typename T, int HEADS, int LANES, int AHEAD>
__device__ static void
add_packs(float (&sum)[HEADS][PACK], const packs_shared<HEADS, LANES> &shared,
          const pack<T, PACK> (&values)[AHEAD], decode_range range, int first) {
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
        int at = (int)threadIdx.x / LANES + (first + i) * packs_shape<LANES>::keys;
        bool is_there = range.begin + at < range.end;
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
            float weight = is_there ? shared.scores[h][at] : 0;
#pragma unroll
            for (int j = 0; j < PACK; j++)
                sum[h][j] = fmaf(weight, to_float(values[i].v[j]), sum[h][j]);
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

template <typename T, int HEADS, int LANES>
__global__ void __launch_bounds__(DECODE_THREADS)
    decode_packs(const __grid_constant__ decode_task task) {
    using S = packs_shape<LANES>;
    __shared__ packs_shared<HEADS, LANES> shared;
    decode_place place = place_of(task);
    await_previous();
    let_next_begin();
    int position = task.positions[place.row], sequence = task.sequences[place.row];
    decode_range range = range_of(task, position, place.split);
    if (range.begin >= range.end)
        return;
    pack<T, PACK> keys[S::ahead], values[S::ahead];
    float q[HEADS][PACK], sum[HEADS][PACK] = {};
    read_packs<T, LANES>(keys, task, task.k, task.dim, sequence, place.group, range, 0);
    read_packs<T, LANES>(values, task, task.v, task.v_dim, sequence, place.group, range, 0);
    read_queries<T, HEADS, LANES>(q, task, place);
#pragma unroll
    for (int first = 0; first < S::steps; first += S::ahead) {
        if (first)
            read_packs<T, LANES>(keys, task, task.k, task.dim, sequence, place.group, range, first);
        score_packs<T, HEADS, LANES>(shared, keys, q, task, place, range, position, first);
    }
    __syncthreads();
    for (int h = (int)threadIdx.x / WARP; h < place.heads; h += DECODE_WARPS)
        exponentiate(shared.scores[h], range.end - range.begin,
                     part_of(task, place.row, place.first_head + h, place.split));
    __syncthreads();
#pragma unroll
    for (int first = 0; first < S::steps; first += S::ahead) {
        if (first)
            read_packs<T, LANES>(values, task, task.v, task.v_dim, sequence, place.group, range,
                                 first);
        add_packs<T, HEADS, LANES>(sum, shared, values, range, first);
    }
    leave_sums<HEADS, LANES>(shared, sum, task, place);
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
    launch_dependent(cuda, cuda->ops, kernel, dim3(blocks), DECODE_THREADS, 0, task);
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
