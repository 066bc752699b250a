// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_ATTENTION_CUH
#define CUDA_ATTENTION_CUH

// What the attention kernels share. Each takes one struct attention_task by value and computes
// tiles of query rows; positions of queries and keys count from the first token of the sequence.

#include "cuda_backend.h"
#include "device.cuh"

#include <math.h>

enum {
    ATTENTION_HEADS = 256, // at most, of one launch: their slopes travel with its parameters
    ATTENTION_UNIT = 64,   // query rows that share a mark; tiles are multiples of it
};

// Heads in device memory: entry i of head h in row r is data[r * stride + h * pitch + i].
struct attention_heads {
    const void *data;
    int64_t stride, pitch;
    bool is_packed; // every head of every row starts at a multiple of 16 bytes and is such a
                    // multiple long
};

struct attention_task {
    struct attention_heads y, q, k, v;
    int sequences, queries, keys, first; // queries and keys of each, position of the first query
    int window;                          // first + queries where the op has none
    bool chunks;                         // see kn_attention
    int heads, first_head, group; // query heads from first_head on; one key head serves `group`
    int dim, v_dim;
    int tiles;   // of queries, a sequence
    int section; // pairs of a sequence and a head whose keys and values fit the cache together
    float scale, softcap;
    bool is_rich; // scores take more than the scale: softcap or slopes
    bool has_slopes, slopes_bf16;
    const float *sinks; // [heads of the whole op], device; NULL: none
    // One mark for each ATTENTION_UNIT query rows of a pair, [pairs, units], 0 at first: set where
    // an output is not finite. NULL: no marks, attention_rows computes all.
    unsigned *marks;
    unsigned *next_tile; // a counter, 0 at first, for blocks that fetch one tile after the other
    float slopes[ATTENTION_HEADS]; // of the heads from first_head on
};

struct attention_launch {
    struct attention_task task;
    enum kn_type type;
    cudaStream_t stream;
    int capability, processors; // of the device; 90: 9.0
};

// The kernels, the fastest first. The last takes everything.
enum attention_kernel {
    ATTENTION_HOPPER, // f16 and bf16, dims 64 and 128, plain scores, capability 9.0: wgmma
    ATTENTION_MMA,    // f16 and bf16, dims to 256: mma.sync
    ATTENTION_SIMT,   // f32, dims to 256: f32 multiply-adds
    ATTENTION_ROWS,   // a warp for each row and head
};

// cuda_attention with the first kernel that takes the op, from `first` on.
enum kn_status attention_run(struct kn_backend *self, const struct kn_attention *op,
                             enum attention_kernel first);

// Which one that is, for an op that has passed its checks.
enum attention_kernel attention_choice(struct kn_backend *self, const struct kn_attention *op,
                                       enum attention_kernel first);

bool attention_hopper_takes(const struct attention_launch *launch);
bool attention_mma_takes(const struct attention_launch *launch);
bool attention_simt_takes(const struct attention_launch *launch);

// The launches; they set task.tiles. rows computes the units that are marked.
enum kn_status attention_hopper(struct kn_backend *self, struct attention_launch *launch);
enum kn_status attention_mma(struct kn_backend *self, struct attention_launch *launch);
enum kn_status attention_simt(struct kn_backend *self, struct attention_launch *launch);
enum kn_status attention_rows(struct kn_backend *self, struct attention_launch *launch);

static inline __host__ __device__ int attention_units(const struct attention_task &task) {
    return (task.queries + ATTENTION_UNIT - 1) / ATTENTION_UNIT;
}

// The position behind the last query of a sequence.
static inline __host__ __device__ int attention_end(const attention_task &task) {
    return task.first + task.queries;
}

static inline __host__ __device__ int attention_pairs(const struct attention_task &task) {
    return task.sequences * task.heads;
}

struct attention_tile {
    int sequence, head, tile;
};

// Pairs go by sections, so that the cache holds what their tiles share; in a section the last
// queries, which see the most keys, go first.
__device__ inline attention_tile attention_tile_of(const attention_task &task, int index) {
    int first_pair = index / (task.section * task.tiles) * task.section;
    int width = min(task.section, attention_pairs(task) - first_pair);
    int rest = index - first_pair * task.tiles, pair = first_pair + rest % width;
    return {pair / task.heads, pair % task.heads, task.tiles - 1 - rest / width};
}

// Entry 0 of a head of y or q in the row of a position, and of k or v.
template <typename T>
__device__ inline const T *attention_query_row(const attention_heads &heads,
                                               const attention_task &task, int sequence,
                                               int position, int head) {
    int64_t row = (int64_t)sequence * task.queries + (position - task.first);
    return static_cast<const T *>(heads.data) + row * heads.stride + head * heads.pitch;
}

template <typename T>
__device__ inline const T *attention_key_row(const attention_heads &heads,
                                             const attention_task &task, int sequence, int position,
                                             int head) {
    int64_t row = (int64_t)sequence * task.keys + position;
    return static_cast<const T *>(heads.data) + row * heads.stride + head * heads.pitch;
}

// Of y and q on the one hand, k and v on the other; `head` counts from first_head.
__device__ inline int attention_query_head(const attention_task &task, int head) {
    return task.first_head + head;
}

__device__ inline int attention_key_head(const attention_task &task, int head) {
    return (task.first_head + head) / task.group;
}

__device__ inline int attention_first_key(const attention_task &task, int position) {
    return task.chunks ? position - position % task.window : max(0, position + 1 - task.window);
}

__device__ inline void attention_mark(const attention_task &task, int sequence, int head,
                                      int position) {
    int pair = sequence * task.heads + head;
    int unit = (position - task.first) / ATTENTION_UNIT;
    task.marks[(int64_t)pair * attention_units(task) + unit] = 1;
}

__device__ inline float attention_bf16(float v) {
    return __bfloat162float(__float2bfloat16_rn(v));
}

// The score of q . k: scaled, with ALiBi's term, capped.
__device__ inline float attention_score(const attention_task &task, float slope, float dot,
                                        int query, int key) {
    float score = dot * task.scale;
    if (task.has_slopes && task.slopes_bf16) {
        float there = attention_bf16(slope * attention_bf16((float)key));
        score += task.scale * (there - attention_bf16(slope * attention_bf16((float)query)));
    } else if (task.has_slopes) {
        score += slope * (float)(key - query);
    }
    return task.softcap > 0 ? task.softcap * tanhf(score / task.softcap) : score;
}

__device__ inline float attention_power_of_two(float v) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(v));
    return y;
}

// Over the four lanes that hold a row of a tensor core's accumulators.
__device__ inline float attention_quad_max(float v) {
    v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 1));
    return fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 2));
}

__device__ inline float attention_quad_sum(float v) {
    v += __shfl_xor_sync(0xffffffffu, v, 1);
    return v + __shfl_xor_sync(0xffffffffu, v, 2);
}

#define ATTENTION_LOG2E 1.4426950408889634f

// What a head's sink adds to the sum of a row's weights exp(score - shift).
__device__ inline float attention_sink(const attention_task &task, int head, float shift) {
    return task.sinks ? exp2f((task.sinks[task.first_head + head] - shift) * ATTENTION_LOG2E) : 0;
}

#endif
