// SPDX-License-Identifier: Apache-2.0
// Attention in f16 and bf16 for any dims to 256 with all options: tiles of 128 queries, 16 of each
// warp, in the manner of FlashAttention-2 (Dao 2023, arXiv 2307.08691). Products are mma.sync
// m16n8k16; scores go from its accumulators to its left operand without leaving the registers.
// A tile of values arrives while scores are computed, the next keys while values are summed.
#include "attention.cuh"
#include "mma.cuh"

enum { MMA_WARPS = 8, MMA_THREADS = MMA_WARPS * WARP, MMA_QUERIES = MMA_WARPS * 16 };

// Dims as they are padded in shared memory, with zeros.
template <typename T, int DIM, int V_DIM> struct mma_shape {
    using element = T;
    static constexpr int dim = DIM, v_dim = V_DIM, keys = 64;
    // A row's stride is an odd number of 16 bytes: eight rows lie in different banks.
    static constexpr int stride = DIM + 8, v_stride = V_DIM + 8;
    static constexpr int bytes = 2 * ((MMA_QUERIES + keys) * stride + keys * v_stride);
};

__device__ static unsigned shared_address(const void *p) {
    return (unsigned)__cvta_generic_to_shared(p);
}

__device__ static void copy_async(void *to, const void *from, bool is_there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(is_there ? 16 : 0)
                 : "memory");
}

__device__ static void await_copies() {
    asm volatile("cp.async.wait_all;" ::: "memory");
}

// Four 8 x 8 matrices; lane i names row i % 8 of matrix i / 8.
__device__ static void load_matrices(unsigned (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

__device__ static void load_transposed(unsigned (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// rows x DIM elements of a head into shared memory, zeros beyond `end` rows and `dim` columns.
template <typename T, int ROWS, int DIM>
__device__ static void load_tile(T *to, const attention_heads &heads, const T *from, int end,
                                 int dim) {
    constexpr int packs = DIM / 8;
    for (int i = (int)threadIdx.x; i < ROWS * packs; i += MMA_THREADS) {
        int row = i / packs, column = i % packs * 8;
        T *at = to + row * (DIM + 8) + column;
        const T *source = from + row * heads.stride + column;
        if (heads.is_packed) {
            bool is_there = row < end && column < dim;
            copy_async(at, is_there ? source : from, is_there);
            continue;
        }
        pack<T, 8> p;
#pragma unroll
        for (int e = 0; e < 8; e++)
            p.v[e] = row < end && column + e < dim ? source[e] : from_float<T>(0.F);
        store(at, p);
    }
}

// One warp's 16 queries: lane i holds rows i / 4 and i / 4 + 8 of what the accumulators of m16n8k16
// hold, columns i % 4 * 2 and the next of every eight.
template <typename S> struct mma_rows {
    float score[S::keys / 8][4], sum[S::v_dim / 8][4];
    float maximum[2], total[2]; // total: of the lane's columns
};

template <typename S>
__device__ static void compute_scores(mma_rows<S> &r, const typename S::element *q,
                                      const typename S::element *k) {
    int lane = (int)threadIdx.x % WARP;
    const auto *q_row = q + lane % 16 * S::stride + lane / 16 * 8;
    const auto *k_row = k + (lane % 8 + lane / 16 * 8) * S::stride + lane / 8 % 2 * 8;
#pragma unroll
    for (int n = 0; n < S::keys / 8; n++)
        r.score[n][0] = r.score[n][1] = r.score[n][2] = r.score[n][3] = 0;
#pragma unroll
    for (int i = 0; i < S::dim; i += 16) {
        unsigned a[4], b[4];
        load_matrices(a, q_row + i);
#pragma unroll
        for (int n = 0; n < S::keys / 16; n++) {
            load_matrices(b, k_row + n * 16 * S::stride + i);
            mma_multiply<typename S::element>(r.score[2 * n], a, b[0], b[1]);
            mma_multiply<typename S::element>(r.score[2 * n + 1], a, b[2], b[3]);
        }
    }
}

// `position` is that of the lane's first row, `key` that of the tile's first key.
template <typename S>
__device__ static void finish_scores(mma_rows<S> &r, const attention_task &task, float slope,
                                     int position, int key) {
    key += (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int n = 0; n < S::keys / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            r.score[n][i] = attention_score(task, slope, r.score[n][i], position + i / 2 * 8,
                                            key + n * 8 + i % 2);
}

template <typename S>
__device__ static void mask_scores(mma_rows<S> &r, const attention_task &task, int position,
                                   int key) {
    int first[2] = {attention_first_key(task, position), attention_first_key(task, position + 8)};
    key += (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int n = 0; n < S::keys / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int here = key + n * 8 + i % 2;
            if (here > position + i / 2 * 8 || here < first[i / 2])
                r.score[n][i] = -INFINITY;
        }
}

// Scores become 2^(factor * (score - maximum)).
template <typename S> __device__ static void exponentiate(mma_rows<S> &r, float factor) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float largest = r.maximum[h];
#pragma unroll
        for (int n = 0; n < S::keys / 8; n++)
            largest = fmaxf(largest, fmaxf(r.score[n][2 * h], r.score[n][2 * h + 1]));
        largest = attention_quad_max(largest);
        float shift = largest == -INFINITY ? 0 : largest * factor;
        float correction = attention_power_of_two(fmaf(r.maximum[h], factor, -shift));
        r.maximum[h] = largest;
        r.total[h] *= correction;
#pragma unroll
        for (int n = 0; n < S::keys / 8; n++)
#pragma unroll
            for (int i = 2 * h; i < 2 * h + 2; i++) {
                r.score[n][i] = attention_power_of_two(fmaf(r.score[n][i], factor, -shift));
                r.total[h] += r.score[n][i];
            }
#pragma unroll
        for (int n = 0; n < S::v_dim / 8; n++) {
            r.sum[n][2 * h] *= correction;
            r.sum[n][2 * h + 1] *= correction;
        }
    }
}

template <typename T> __device__ static unsigned pair_of(float low, float high) {
    pack<T, 2> p = {{from_float<T>(low), from_float<T>(high)}};
    unsigned bits;
    memcpy(&bits, &p, sizeof bits);
    return bits;
}

template <typename S>
__device__ static void add_values(mma_rows<S> &r, const typename S::element *v) {
    using T = typename S::element;
    int lane = (int)threadIdx.x % WARP;
    const T *v_row = v + lane % 16 * S::v_stride + lane / 16 * 8;
#pragma unroll
    for (int k = 0; k < S::keys / 16; k++) {
        const float(&low)[4] = r.score[2 * k], (&high)[4] = r.score[2 * k + 1];
        unsigned a[4] = {pair_of<T>(low[0], low[1]), pair_of<T>(low[2], low[3]),
                         pair_of<T>(high[0], high[1]), pair_of<T>(high[2], high[3])};
        unsigned b[4];
#pragma unroll
        for (int n = 0; n < S::v_dim / 16; n++) {
            load_transposed(b, v_row + k * 16 * S::v_stride + n * 16);
            mma_multiply<T>(r.sum[2 * n], a, b[0], b[1]);
            mma_multiply<T>(r.sum[2 * n + 1], a, b[2], b[3]);
        }
    }
}

template <typename S>
__device__ static void write_rows(const mma_rows<S> &r, const attention_task &task, int sequence,
                                  int head, int position) {
    using T = typename S::element;
    float factor = task.is_rich ? 1 : task.scale; // of the maximum
    int first_column = (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int h = 0; h < 2; h++, position += 8) {
        float sink = attention_sink(task, head, r.maximum[h] * factor);
        float inverse = __fdividef(1.F, attention_quad_sum(r.total[h]) + sink), zero = 0;
        if (position >= attention_end(task))
            continue;
        T *y = const_cast<T *>(attention_query_row<T>(task.y, task, sequence, position,
                                                      attention_query_head(task, head)));
#pragma unroll
        for (int n = 0; n < S::v_dim / 8; n++) {
            float low = r.sum[n][2 * h] * inverse, high = r.sum[n][2 * h + 1] * inverse;
            int column = first_column + n * 8;
            zero = fmaf(low, 0, fmaf(high, 0, zero));
            if (task.y.is_packed && column < task.v_dim) {
                store(y + column, pack<T, 2>{{from_float<T>(low), from_float<T>(high)}});
            } else {
                if (column < task.v_dim)
                    y[column] = from_float<T>(low);
                if (column + 1 < task.v_dim)
                    y[column + 1] = from_float<T>(high);
            }
        }
        if (zero != 0) // NaN: some output is not finite
            attention_mark(task, sequence, head, position);
    }
}

template <typename S>
__global__ void __launch_bounds__(MMA_THREADS, S::v_dim <= 64 ? 2 : 1)
    mma_kernel(const __grid_constant__ attention_task task) {
    using T = typename S::element;
    extern __shared__ __align__(16) unsigned char shared[];
    T *q = reinterpret_cast<T *>(shared), *k = q + MMA_QUERIES * S::stride;
    T *v = k + S::keys * S::stride;
    attention_tile tile = attention_tile_of(task, (int)blockIdx.x);
    int first = task.first + tile.tile * MMA_QUERIES;
    int end = min(first + MMA_QUERIES, attention_end(task));
    int warp_first = first + (int)threadIdx.x / WARP * 16;
    int position = warp_first + (int)threadIdx.x % WARP / 4;
    int key_head = attention_key_head(task, tile.head);
    const T *keys = attention_key_row<T>(task.k, task, tile.sequence, 0, key_head);
    const T *values = attention_key_row<T>(task.v, task, tile.sequence, 0, key_head);
    int key = attention_first_key(task, first);
    load_tile<T, MMA_QUERIES, S::dim>(q, task.q,
                                      attention_query_row<T>(task.q, task, tile.sequence, first,
                                                             attention_query_head(task, tile.head)),
                                      end - first, task.dim);
    load_tile<T, S::keys, S::dim>(k, task.k, keys + key * task.k.stride, end - key, task.dim);
    float slope = task.slopes[tile.head];
    float factor = task.is_rich ? ATTENTION_LOG2E : task.scale * ATTENTION_LOG2E;
    mma_rows<S> r = {};
    r.maximum[0] = r.maximum[1] = -INFINITY;
    for (; key < end; key += S::keys) {
        int last = key + S::keys - 1;
        bool is_seen = key < warp_first + 16 && last >= attention_first_key(task, warp_first);
        bool is_whole = last <= warp_first && key >= attention_first_key(task, warp_first + 15);
        await_copies();
        __syncthreads();
        load_tile<T, S::keys, S::v_dim>(v, task.v, values + key * task.v.stride, end - key,
                                        task.v_dim);
        if (is_seen)
            compute_scores<S>(r, q + (warp_first - first) * S::stride, k);
        await_copies();
        __syncthreads();
        if (last + 1 < end)
            load_tile<T, S::keys, S::dim>(k, task.k, keys + (last + 1) * task.k.stride,
                                          end - last - 1, task.dim);
        if (!is_seen)
            continue;
        if (task.is_rich)
            finish_scores<S>(r, task, slope, position, key);
        if (!is_whole)
            mask_scores<S>(r, task, position, key);
        exponentiate<S>(r, factor);
        add_values<S>(r, v);
    }
    write_rows<S>(r, task, tile.sequence, tile.head, position);
}

template <typename S>
static enum kn_status launch_shape(struct kn_backend *self, struct attention_launch *launch) {
    struct attention_task *task = &launch->task;
    task->tiles = (task->queries + MMA_QUERIES - 1) / MMA_QUERIES;
    KN_TRY(cuda_check(
        self,
        cudaFuncSetAttribute(mma_kernel<S>, cudaFuncAttributeMaxDynamicSharedMemorySize, S::bytes),
        "shared memory for attention"));
    mma_kernel<S><<<(unsigned)(attention_pairs(*task) * task->tiles), MMA_THREADS, S::bytes,
                    launch->stream>>>(*task);
    return cuda_launched(self, "attention");
}

// The padded dims there are, ascending: the first row that has room is taken.
struct mma_instance {
    int dim, v_dim;
    enum kn_status (*launch[2])(struct kn_backend *self, struct attention_launch *launch);
};

#define INSTANCE(DIM, V_DIM)                                                                       \
    {                                                                                              \
        DIM, V_DIM, {                                                                              \
            launch_shape<mma_shape<__half, DIM, V_DIM>>,                                           \
                launch_shape<mma_shape<__nv_bfloat16, DIM, V_DIM>>                                 \
        }                                                                                          \
    }
static const struct mma_instance instances[] = {
    INSTANCE(32, 32),   INSTANCE(64, 64),   INSTANCE(96, 96),  INSTANCE(128, 128),
    INSTANCE(192, 128), INSTANCE(192, 192), INSTANCE(256, 256)};
#undef INSTANCE

static const struct mma_instance *instance_for(const struct attention_task *task) {
    for (const struct mma_instance &i : instances)
        if (task->dim <= i.dim && task->v_dim <= i.v_dim)
            return &i;
    return NULL;
}

// The scale is multiplied in after the maximum is taken, so it must be positive.
bool attention_mma_takes(const struct attention_launch *launch) {
    return launch->type != KN_F32 && launch->capability >= 80 &&
           (launch->task.is_rich || launch->task.scale > 0) && instance_for(&launch->task);
}

enum kn_status attention_mma(struct kn_backend *self, struct attention_launch *launch) {
    return instance_for(&launch->task)->launch[launch->type == KN_BF16](self, launch);
}
