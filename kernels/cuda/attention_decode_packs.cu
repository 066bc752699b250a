// SPDX-License-Identifier: Apache-2.0
// Parts of attention over a cache by 16 bytes a thread: LANES lanes have a key's entries, 8 each,
// and the same of its value; a block's other lanes have the next keys. All keys and values of a
// part are on their way into shared memory before the first is used: in registers they would leave
// room for so few blocks that the memory waits for the blocks. There are as many blocks as run at
// the same time, and each has parts that follow each other: once it has read keys, those of its
// next part are asked for in their place, and values likewise, so that memory never waits for a
// block. A thread reads back what it copied itself, so nothing waits for the others' copies. The
// block that is through with a head's parts last joins them.
#include "attention_decode.cuh"
#include "dependent.cuh"

enum { PACK = 8 }; // entries of 16 bits

// The sums of COUNT values over LANES lanes, each in LANES / COUNT of them that follow each other:
// v[i]'s from lane i * LANES / COUNT on. Half of the values go to the lanes of either half, then a
// half of those, and so on.
template <int LANES, int COUNT> __device__ static float spread_sums(float (&v)[COUNT]) {
    int distance = LANES / 2;
#pragma unroll
    for (int count = COUNT / 2; count > 0; count /= 2, distance /= 2) {
        bool upper = threadIdx.x & (unsigned)distance;
#pragma unroll
        for (int i = 0; i < count; i++) {
            float away = upper ? v[i] : v[i + count], own = upper ? v[i + count] : v[i];
            v[i] = own + __shfl_xor_sync(0xffffffffu, away, distance);
        }
    }
#pragma unroll
    for (; distance > 0; distance /= 2)
        v[0] += __shfl_xor_sync(0xffffffffu, v[0], distance);
    return v[0];
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
    bool are_last;
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

__device__ static void copy_pack(void *to, const void *from, bool is_there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                     (unsigned)__cvta_generic_to_shared(to)),
                 "l"(from), "r"(is_there ? 16 : 0)
                 : "memory");
}

// This thread's packs of a part's keys, or values, zeros where there is none. Rows of a part follow
// each other but where the cache begins anew.
template <typename T, int LANES>
__device__ static void copy_packs(T *tile, const decode_task &task, const attention_heads &heads,
                                  int dim, int sequence, int group, decode_range range) {
    constexpr int KEYS = packs_shape<LANES>::keys;
    int entry = (int)threadIdx.x % LANES * PACK, first = range.begin + (int)threadIdx.x / LANES;
    bool in_row = range.end <= task.keys, has_entry = entry < dim;
    const T *from = cached<T>(task, heads, sequence, first, group) + (has_entry ? entry : 0);
#pragma unroll
    for (int i = 0; i < packs_shape<LANES>::steps; i++) {
        int key = first + i * KEYS;
        bool is_there = has_entry && key < range.end;
        if (in_row)
            copy_pack(tile + pack_at(i), from + (is_there ? i * KEYS * heads.stride : 0), is_there);
        else
            copy_pack(tile + pack_at(i),
                      cached<T>(task, heads, sequence, is_there ? key : range.begin, group) +
                          (has_entry ? entry : 0),
                      is_there);
    }
}

// All groups of this thread's copies but the last PENDING are there.
template <int PENDING> __device__ static void await_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// Scores of COUNT keys of this thread's, from its i-th on: products of its entries with all heads'
// queries, whose sums over a key's lanes are left to one of them each.
template <typename T, int HEADS, int LANES, int COUNT>
__device__ static void score_keys(packs_shared<HEADS, LANES> &shared, const T *tile, int i,
                                  const float (&q)[HEADS][PACK], const decode_task &task,
                                  const decode_place &place, decode_range range, int position) {
    float dots[HEADS][COUNT] = {};
#pragma unroll
    for (int n = 0; n < COUNT; n++) {
        pack<T, PACK> own = load<T, PACK>(tile + pack_at(i + n));
#pragma unroll
        for (int j = 0; j < PACK; j++)
#pragma unroll
            for (int h = 0; h < HEADS; h++)
                dots[h][n] = fmaf(q[h][j], to_float(own.v[j]), dots[h][n]);
    }
    int lane = (int)threadIdx.x % LANES;
    int key = range.begin + (int)threadIdx.x / LANES +
              (i + lane / (LANES / COUNT)) * packs_shape<LANES>::keys;
    bool is_own = lane % (LANES / COUNT) == 0 && key < range.end;
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
        float dot = spread_sums<LANES, COUNT>(dots[h]);
        if (is_own && h < place.heads)
            shared.scores[h][key - range.begin] =
                finish_score(task, place.first_head + h, dot, position, key);
    }
}

// One head has registers for more keys at a time.
template <typename T, int HEADS, int LANES>
__device__ static void score_packs(packs_shared<HEADS, LANES> &shared, const T *tile,
                                   const float (&q)[HEADS][PACK], const decode_task &task,
                                   const decode_place &place, decode_range range, int position) {
    constexpr int STEPS = packs_shape<LANES>::steps;
    constexpr int COUNT = HEADS > 1 || STEPS == 4 ? 4 : 8;
#pragma unroll
    for (int i = 0; i < STEPS; i += COUNT)
        score_keys<T, HEADS, LANES, COUNT>(shared, tile, i, q, task, place, range, position);
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

// The parts of all rows, one behind the other: row by row, in it heads by heads that share their
// keys, and of those part by part. A block has some that follow each other.
struct part_walk {
    decode_place place;
    int position, sequence, left; // left: parts of this block from this one on
};

__device__ static void enter(part_walk *walk, const decode_task &task, int row, int pair,
                             int split) {
    walk->place = place_at(task, row, pair, split);
    walk->position = task.positions[row];
    walk->sequence = task.sequences[row];
}

// The first part of this block. All blocks have as many, or one less.
__device__ static part_walk first_part(const decode_task &task) {
    int pairs = pairs_of(task), all = 0, row = 0, parts = 0;
    for (int i = (int)threadIdx.x % WARP; i < task.rows; i += WARP)
        all += pairs * parts_of(task, task.positions[i]);
    all = warp_sum(all);
    int each = all / (int)gridDim.x, more = all % (int)gridDim.x, block = (int)blockIdx.x;
    int at = block * each + min(block, more);
    part_walk walk = {};
    walk.left = each + (block < more ? 1 : 0);
    if (!walk.left)
        return walk;
    for (; at >= pairs * (parts = parts_of(task, task.positions[row])); row++)
        at -= pairs * parts;
    enter(&walk, task, row, at / parts, at % parts);
    return walk;
}

__device__ static part_walk next_part(part_walk walk, const decode_task &task) {
    if (--walk.left <= 0 || ++walk.place.split < parts_of(task, walk.position))
        return walk;
    if (walk.place.pair + 1 < pairs_of(task))
        walk.place = place_at(task, walk.place.row, walk.place.pair + 1, 0);
    else
        enter(&walk, task, walk.place.row + 1, 0, 0);
    return walk;
}

// Whether all parts of these heads are there, of which this block has just left `own`; then the
// count is begun anew.
__device__ static bool were_last(const decode_task &task, const part_walk &walk, int own,
                                 bool *are_last) {
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        unsigned *count = task.counts + walk.place.row * pairs_of(task) + walk.place.pair;
        unsigned all = (unsigned)parts_of(task, walk.position);
        *are_last = atomicAdd(count, (unsigned)own) + (unsigned)own == all;
        if (*are_last)
            *count = 0;
    }
    __syncthreads();
    __threadfence();
    return *are_last;
}

// Copies of a walk's keys or values; none where it has ended.
template <typename T, int LANES>
__device__ static void copy_part(T *tile, const decode_task &task, const attention_heads &heads,
                                 int dim, const part_walk &walk) {
    if (walk.left > 0)
        copy_packs<T, LANES>(tile, task, heads, dim, walk.sequence, walk.place.group,
                             range_of(task, walk.position, walk.place.split));
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <typename T, int HEADS, int LANES>
__global__ void __launch_bounds__(DECODE_THREADS, HEADS == 1   ? 6
                                                  : HEADS == 4 ? 4
                                                               : 2)
    decode_packs(const __grid_constant__ decode_task task) {
    extern __shared__ __align__(16) unsigned char tiles[];
    __shared__ packs_shared<HEADS, LANES> shared;
    T *keys = reinterpret_cast<T *>(tiles), *values = keys + packs_shape<LANES>::entries;
    await_previous();
    let_next_begin();
    float q[HEADS][PACK];
    part_walk walk = first_part(task);
    if (walk.left <= 0)
        return;
    copy_part<T, LANES>(keys, task, task.k, task.dim, walk);
    copy_part<T, LANES>(values, task, task.v, task.v_dim, walk);
    for (int own = 0; walk.left > 0;) {
        const decode_place place = walk.place;
        const part_walk next = next_part(walk, task);
        decode_range range = range_of(task, walk.position, place.split);
        float sum[HEADS][PACK] = {};
        if (own++ == 0)
            read_queries<T, HEADS, LANES>(q, task, place);
        await_copies<1>();
        score_packs<T, HEADS, LANES>(shared, keys, q, task, place, range, walk.position);
        copy_part<T, LANES>(keys, task, task.k, task.dim, next);
        __syncthreads();
        for (int h = (int)threadIdx.x / WARP; h < place.heads; h += DECODE_WARPS)
            exponentiate(shared.scores[h], range.end - range.begin,
                         part_of(task, place.row, place.first_head + h, place.split));
        await_copies<1>();
        __syncthreads();
        add_packs<T, HEADS, LANES>(sum, shared, values, range);
        copy_part<T, LANES>(values, task, task.v, task.v_dim, next);
        leave_sums<HEADS, LANES>(shared, sum, task, place);
        if (next.left <= 0 || next.place.split == 0) {
            if (task.counts && were_last(task, walk, own, &shared.are_last))
                for (int h = 0; h < place.heads; h++)
                    join_parts<T>(task, place.row, place.first_head + h, walk.position);
            own = 0;
        }
        walk = next;
    }
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
    int fit = 1;                         // on a multiprocessor
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)tiles);
    cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, kernel, DECODE_THREADS, tiles);
    unsigned most = (unsigned)(fit > 0 ? fit : 1) * (unsigned)cuda->processors;
    launch_dependent(cuda, cuda->ops, task.rows, kernel, dim3(blocks < most ? blocks : most),
                     DECODE_THREADS, tiles, task);
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
