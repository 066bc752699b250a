// SPDX-License-Identifier: Apache-2.0
// Attention in f16 and bf16 on Hopper, in the manner of FlashAttention-3 (Shah et al. 2024, arXiv
// 2407.08608). Blocks stay and fetch tiles of queries. One warpgroup copies tiles into rings in
// shared memory; each of the others has 64 queries and computes the next scores while it turns the
// last into weights, one warpgroup after the other, so that one's products run beside another's
// exponentials. Key tiles go from the diagonal to the first.
#include "attention.cuh"
#include "hopper.cuh"
#include "hopper_maps.h"

constexpr int WARPGROUP = 4 * WARP;
constexpr int STAGES = 2;            // of the rings of keys and values
constexpr int SWIZZLED_COLUMNS = 64; // 128 bytes

// CONSUMERS warpgroups that compute; what registers the one that copies does not need, they get.
template <typename T, int DIM, int CONSUMERS> struct hopper_shape {
    using element = T;
    static constexpr int dim = DIM, consumers = CONSUMERS, keys = 128, queries = 64 * CONSUMERS;
    static constexpr int threads = (CONSUMERS + 1) * WARPGROUP;
    static constexpr int producer_registers = CONSUMERS == 2 ? 24 : 32;
    static constexpr int consumer_registers = CONSUMERS == 2 ? 240 : 160;
    static constexpr int panels = DIM / SWIZZLED_COLUMNS;
    static constexpr unsigned row_bytes = DIM * 2;
};

template <typename S> struct hopper_shared {
    using element = typename S::element;
    alignas(1024) element q[S::panels][S::queries][SWIZZLED_COLUMNS];
    alignas(1024) element k[STAGES][S::panels][S::keys][SWIZZLED_COLUMNS];
    alignas(1024) element v[STAGES][S::panels][S::keys][SWIZZLED_COLUMNS];
    // Full: the bytes are there. Empty: every warp of the consumers is done with them.
    uint64_t q_full, q_empty;
    uint64_t k_full[STAGES], k_empty[STAGES], v_full[STAGES], v_empty[STAGES];
    int index; // of the tile that q holds; -1: there is none left
};

struct hopper_maps {
    CUtensorMap q, k, v; // [sequence, position, head, column]
};

#ifdef HOPPER_CODE

// The stage of the use'th tile in a ring, and its phase's parity.
__device__ static int stage_of(unsigned use) {
    return (int)(use % STAGES);
}

__device__ static unsigned parity_of(unsigned use) {
    return use / STAGES & 1;
}

template <typename S> __device__ static int last_block(const attention_task &task, int first) {
    return (min(first + S::queries, task.queries) - 1) / S::keys;
}

// ---- the warpgroup that copies, one thread of it -----------------------------------------------

template <typename S, int ROWS>
__device__ static void copy_rows(typename S::element (*to)[ROWS][SWIZZLED_COLUMNS],
                                 const CUtensorMap *map, tensor_place from, uint64_t *full) {
    barrier_expect(full, ROWS * S::row_bytes);
#pragma unroll
    for (int panel = 0; panel < S::panels; panel++) {
        from.column = panel * SWIZZLED_COLUMNS;
        copy_tile(to[panel], map, from, full);
    }
}

template <typename S> struct hopper_producer {
    const hopper_maps &maps;
    hopper_shared<S> &shared;
    unsigned keys_used, values_used; // tiles so far

    __device__ void copy_keys(tensor_place from, int block) {
        int stage = stage_of(keys_used);
        from.position = block * S::keys;
        barrier_await(&shared.k_empty[stage], parity_of(keys_used++) ^ 1);
        copy_rows<S, S::keys>(shared.k[stage], &maps.k, from, &shared.k_full[stage]);
    }

    __device__ void copy_values(tensor_place from, int block) {
        int stage = stage_of(values_used);
        from.position = block * S::keys;
        barrier_await(&shared.v_empty[stage], parity_of(values_used++) ^ 1);
        copy_rows<S, S::keys>(shared.v[stage], &maps.v, from, &shared.v_full[stage]);
    }
};

template <typename S>
__device__ static void produce(const attention_task &task, const hopper_maps &maps,
                               hopper_shared<S> &shared) {
    hopper_producer<S> producer = {maps, shared, 0, 0};
    int count = attention_pairs(task) * task.tiles, index = (int)blockIdx.x;
    unsigned turn = 0;
    for (; index < count; turn++) {
        attention_tile tile = attention_tile_of(task, index);
        int next = (int)gridDim.x + (int)atomicAdd(task.next_tile, 1U);
        int first = tile.tile * S::queries, last = last_block<S>(task, first);
        tensor_place from = {0, attention_key_head(task, tile.head), 0, tile.sequence};
        producer.copy_keys(from, last);
        barrier_await(&shared.q_empty, (turn & 1) ^ 1);
        shared.index = index;
        copy_rows<S, S::queries>(shared.q, &maps.q,
                                 {0, attention_query_head(task, tile.head), first, tile.sequence},
                                 &shared.q_full);
        for (int block = last - 1; block >= 0; block--) {
            producer.copy_keys(from, block);
            producer.copy_values(from, block + 1);
        }
        producer.copy_values(from, 0);
        index = next;
    }
    barrier_await(&shared.q_empty, (turn & 1) ^ 1);
    shared.index = -1;
    barrier_arrive(&shared.q_full);
}

// ---- the warpgroups that compute ---------------------------------------------------------------

// A warpgroup's 64 queries. Warp w has 16 of them from 16 w on, lane i rows i / 4 and i / 4 + 8 and
// of every eight columns two from i % 4 * 2 on: entries 4 j + {0, 1} and 4 j + {2, 3}.
template <typename S> struct hopper_rows {
    float score[S::keys / 2], sum[S::dim / 2];
    unsigned weight[S::keys / 4]; // pairs, as the left operand of a product has them
    float maximum[2], total[2];   // total: of the lane's columns
};

template <typename S>
__device__ static void start_scores(hopper_rows<S> &r, const hopper_shared<S> &shared,
                                    int warpgroup, int stage) {
    products_fence();
#pragma unroll
    for (int i = 0; i < S::dim; i += 16) {
        int panel = i / SWIZZLED_COLUMNS, column = i % SWIZZLED_COLUMNS;
        uint64_t a = descriptor_of(&shared.q[panel][64 * warpgroup][column], 0);
        uint64_t b = descriptor_of(&shared.k[stage][panel][0][column], 0);
        multiply_shared<typename S::element>(r.score, a, b, i > 0);
    }
    products_commit();
}

template <typename S>
__device__ static void start_values(hopper_rows<S> &r, const hopper_shared<S> &shared, int stage) {
    products_fence();
#pragma unroll
    for (int i = 0; i < S::keys; i += 16) {
        uint64_t b = descriptor_of(&shared.v[stage][0][i][0], sizeof shared.v[0][0]);
        multiply_registers<typename S::element>(r.sum, &r.weight[i / 4], b);
    }
    products_commit();
}

template <typename S> __device__ static void mask(hopper_rows<S> &r, int position, int key) {
    int distance = position - key - (int)threadIdx.x % 4 * 2; // of the lane's first query and key
#pragma unroll
    for (int i = 0; i < S::keys / 2; i++)
        if (distance + i % 4 / 2 * 8 < i / 4 * 8 + i % 2)
            r.score[i] = -INFINITY;
}

// Scores become 2^(factor * (score - maximum)); earlier sums are to be multiplied by `correction`.
template <typename S>
__device__ static void exponentiate(hopper_rows<S> &r, float factor, float (&correction)[2]) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float even = r.maximum[h], odd = even;
#pragma unroll
        for (int i = 2 * h; i < S::keys / 2; i += 4) {
            even = fmaxf(even, r.score[i]);
            odd = fmaxf(odd, r.score[i + 1]);
        }
        float largest = attention_quad_max(fmaxf(even, odd));
        float shift = largest == -INFINITY ? 0 : largest * factor;
        correction[h] = attention_power_of_two(fmaf(r.maximum[h], factor, -shift));
        r.maximum[h] = largest;
        float total = r.total[h] * correction[h];
#pragma unroll
        for (int i = 2 * h; i < S::keys / 2; i += 4)
#pragma unroll
            for (int e = i; e < i + 2; e++) {
                r.score[e] = attention_power_of_two(fmaf(r.score[e], factor, -shift));
                total += r.score[e];
            }
        r.total[h] = total;
    }
}

template <typename T> __device__ static unsigned pair_of(float low, float high) {
    pack<T, 2> p = {{from_float<T>(low), from_float<T>(high)}};
    unsigned bits;
    memcpy(&bits, &p, sizeof bits);
    return bits;
}

template <typename S> __device__ static void round_weights(hopper_rows<S> &r) {
#pragma unroll
    for (int i = 0; i < S::keys / 4; i++)
        r.weight[i] = pair_of<typename S::element>(r.score[2 * i], r.score[2 * i + 1]);
}

// Of four words of each of four lanes, lane i gets the i'th of all: a transpose.
__device__ static void exchange(unsigned (&w)[4]) {
    int lane = (int)threadIdx.x;
#pragma unroll
    for (int bit = 1; bit < 4; bit *= 2)
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (!(i & bit)) {
                unsigned given = lane & bit ? w[i] : w[i + bit];
                unsigned got = __shfl_xor_sync(0xffffffffu, given, bit);
                (lane & bit ? w[i] : w[i + bit]) = got;
            }
}

template <typename S>
__device__ static void write_rows(const hopper_rows<S> &r, const attention_task &task,
                                  const attention_tile &tile, int position) {
    using T = typename S::element;
#pragma unroll
    for (int h = 0; h < 2; h++, position += 8) {
        float inverse = __fdividef(1.F, attention_quad_sum(r.total[h])), zero = 0;
        T *y = const_cast<T *>(attention_query_row<T>(task.y, task, tile.sequence, position,
                                                      attention_query_head(task, tile.head)));
#pragma unroll
        for (int i = 0; i < S::dim / 2; i += 16) {
            unsigned w[4];
#pragma unroll
            for (int j = 0; j < 4; j++) {
                float low = r.sum[i + 4 * j + 2 * h] * inverse;
                float high = r.sum[i + 4 * j + 2 * h + 1] * inverse;
                zero = fmaf(low, 0, fmaf(high, 0, zero));
                w[j] = pair_of<T>(low, high);
            }
            exchange(w);
            if (position < task.queries)
                store(reinterpret_cast<unsigned *>(y + 2 * i + (int)threadIdx.x % 4 * 8),
                      pack<unsigned, 4>{{w[0], w[1], w[2], w[3]}});
        }
        if (zero != 0 && position < task.queries) // NaN: some output is not finite
            attention_mark(task, tile.sequence, tile.head, position);
    }
}

// What a warpgroup has done so far of its tiles and of the ring.
template <typename S> struct hopper_consumer {
    const attention_task &task;
    hopper_shared<S> &shared;
    int warpgroup;
    unsigned used; // tiles of values; one more tile of keys while scores are computed ahead

    // Every warp says so on its own.
    __device__ void release(uint64_t *empty) {
        if (threadIdx.x % WARP == 0)
            barrier_arrive(empty);
    }

    // Warpgroups issue their products in turn.
    __device__ void await_turn() {
        named_await(1 + warpgroup, 2 * WARPGROUP);
    }

    __device__ void pass_turn() {
        named_arrive(1 + (warpgroup + 1) % S::consumers, 2 * WARPGROUP);
    }

    __device__ void mask_block(hopper_rows<S> &r, int first, int position, int block) {
        if ((block + 1) * S::keys - 1 > first)
            mask<S>(r, position, block * S::keys);
    }

    __device__ void first_scores(hopper_rows<S> &r) {
        int stage = stage_of(used);
        barrier_await(&shared.k_full[stage], parity_of(used));
        start_scores<S>(r, shared, warpgroup, stage);
        products_await<0>();
        registers_settle(r.score);
        release(&shared.k_empty[stage]);
    }

    // Scores of the next block, and the sums of the last one's values.
    __device__ void start_both(hopper_rows<S> &r) {
        barrier_await(&shared.k_full[stage_of(used + 1)], parity_of(used + 1));
        await_turn();
        start_scores<S>(r, shared, warpgroup, stage_of(used + 1));
        barrier_await(&shared.v_full[stage_of(used)], parity_of(used));
        start_values<S>(r, shared, stage_of(used));
        pass_turn();
    }

    __device__ void await_scores(hopper_rows<S> &r) {
        products_await<1>();
        registers_settle(r.score);
        release(&shared.k_empty[stage_of(used + 1)]);
    }

    __device__ void await_values(hopper_rows<S> &r) {
        // Never so; but it takes a branch on the totals for the assembler to compute the
        // exponentials before it waits, beside the products.
        if (r.total[0] + r.total[1] < 0)
            asm volatile("nanosleep.u32 0;");
        products_await<0>();
        registers_settle(r.sum);
        registers_settle(r.score); // weights are rounded after this, into registers now free
        release(&shared.v_empty[stage_of(used)]);
        used++;
    }

    __device__ void last_values(hopper_rows<S> &r) {
        barrier_await(&shared.v_full[stage_of(used)], parity_of(used));
        start_values<S>(r, shared, stage_of(used));
        await_values(r);
    }

    __device__ void attend(int index) {
        attention_tile tile = attention_tile_of(task, index);
        int tile_first = tile.tile * S::queries, first = tile_first + 64 * warpgroup;
        int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP % 4;
        int position = first + 16 * warp + lane / 4, block = last_block<S>(task, tile_first);
        float factor = task.scale * ATTENTION_LOG2E, correction[2];
        hopper_rows<S> r = {};
        r.maximum[0] = r.maximum[1] = -INFINITY;
        first_scores(r);
        if (block == 0)
            release(&shared.q_empty);
        mask_block(r, first, position, block);
        exponentiate<S>(r, factor, correction);
        round_weights<S>(r);
        while (block-- > 0) {
            start_both(r);
            await_scores(r);
            if (block == 0)
                release(&shared.q_empty);
            mask_block(r, first, position, block);
            exponentiate<S>(r, factor, correction);
            await_values(r);
#pragma unroll
            for (int i = 0; i < S::dim / 2; i++)
                r.sum[i] *= correction[i / 2 % 2];
            round_weights<S>(r);
        }
        last_values(r);
        write_rows<S>(r, task, tile, position);
    }
};

template <typename S>
__device__ static void consume(const attention_task &task, hopper_shared<S> &shared,
                               int warpgroup) {
    hopper_consumer<S> consumer = {task, shared, warpgroup, 0};
    if (warpgroup == S::consumers - 1)
        consumer.pass_turn(); // to the first
    for (unsigned turn = 0;; turn++) {
        barrier_await(&shared.q_full, turn & 1);
        int index = shared.index;
        if (index < 0)
            return;
        consumer.attend(index);
    }
}

template <typename S> __device__ static void set_up(hopper_shared<S> &shared) {
    barrier_init(&shared.q_full, 1);
    barrier_init(&shared.q_empty, 4 * S::consumers);
    for (int stage = 0; stage < STAGES; stage++) {
        barrier_init(&shared.k_full[stage], 1);
        barrier_init(&shared.v_full[stage], 1);
        barrier_init(&shared.k_empty[stage], 4 * S::consumers);
        barrier_init(&shared.v_empty[stage], 4 * S::consumers);
    }
    barriers_publish();
}

#endif

template <typename S>
__global__ void __launch_bounds__(S::threads, 1)
    hopper_kernel(const __grid_constant__ attention_task task,
                  const __grid_constant__ hopper_maps maps) {
#ifdef HOPPER_CODE
    extern __shared__ unsigned char memory[];
    auto &shared = *reinterpret_cast<hopper_shared<S> *>(
        memory + (1024 - hopper_address(memory) % 1024) % 1024);
    if (threadIdx.x == 0)
        set_up<S>(shared);
    __syncthreads();
    int warpgroup = (int)threadIdx.x / WARPGROUP;
    if (warpgroup == S::consumers) {
        registers_lower<S::producer_registers>();
        if (threadIdx.x % WARPGROUP == 0)
            produce<S>(task, maps, shared);
    } else {
        registers_raise<S::consumer_registers>();
        consume<S>(task, shared, warpgroup);
    }
#endif
}

// ---- host --------------------------------------------------------------------------------------

// [sequence, position, head, column], taken in boxes of one head, `rows` positions and 64 columns.
static enum kn_status encode(struct kn_backend *self, CUtensorMap *map,
                             const struct attention_launch *launch,
                             const struct attention_heads *heads, int count, int rows) {
    const struct attention_task *task = &launch->task;
    uint64_t stride = (uint64_t)heads->stride * 2;
    const struct hopper_tensor tensor = {
        .data = heads->data,
        .type = launch->type,
        .sizes = {(uint64_t)task->dim, (uint64_t)count, (uint64_t)task->queries,
                  (uint64_t)task->sequences},
        .strides = {(uint64_t)heads->pitch * 2, stride, (uint64_t)task->queries * stride},
        .box = {SWIZZLED_COLUMNS, 1, (uint32_t)rows, 1}};
    return hopper_map(self, map, &tensor);
}

template <typename S>
static enum kn_status launch_shape(struct kn_backend *self, struct attention_launch *launch) {
    struct attention_task *task = &launch->task;
    hopper_maps maps;
    int heads = task->first_head + task->heads, key_heads = (heads - 1) / task->group + 1;
    int bytes = (int)sizeof(hopper_shared<S>) + 1024; // room to align
    KN_TRY(encode(self, &maps.q, launch, &task->q, heads, S::queries));
    KN_TRY(encode(self, &maps.k, launch, &task->k, key_heads, S::keys));
    KN_TRY(encode(self, &maps.v, launch, &task->v, key_heads, S::keys));
    KN_TRY(cuda_check(
        self,
        cudaFuncSetAttribute(hopper_kernel<S>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
        "shared memory for attention"));
    task->tiles = (task->queries + S::queries - 1) / S::queries;
    int count = attention_pairs(*task) * task->tiles;
    int blocks = count < launch->processors ? count : launch->processors;
    hopper_kernel<S><<<(unsigned)blocks, S::threads, (size_t)bytes, launch->stream>>>(*task, maps);
    return cuda_launched(self, "attention on Hopper");
}

bool attention_hopper_takes(const struct attention_launch *launch) {
    const struct attention_task *task = &launch->task;
    return HOPPER_BUILT && launch->capability == 90 && launch->type != KN_F32 && !task->is_rich &&
           !task->sinks && task->scale > 0 && task->first == 0 && task->keys == task->queries &&
           task->window == task->queries && task->dim == task->v_dim &&
           (task->dim == 64 || task->dim == 128) && task->q.is_packed && task->k.is_packed &&
           task->v.is_packed && task->y.is_packed && task->q.pitch > 0 && task->k.pitch > 0 &&
           task->v.pitch > 0;
}

enum kn_status attention_hopper(struct kn_backend *self, struct attention_launch *launch) {
    if (launch->type == KN_F16)
        return launch->task.dim == 64 ? launch_shape<hopper_shape<__half, 64, 3>>(self, launch)
                                      : launch_shape<hopper_shape<__half, 128, 2>>(self, launch);
    return launch->task.dim == 64 ? launch_shape<hopper_shape<__nv_bfloat16, 64, 3>>(self, launch)
                                  : launch_shape<hopper_shape<__nv_bfloat16, 128, 2>>(self, launch);
}
