// SPDX-License-Identifier: Apache-2.0
#ifndef CUDA_ATTENTION_DECODE_CUH
#define CUDA_ATTENTION_DECODE_CUH

// What the kernels of attention over a cache share.

#include "attention.cuh"

enum {
    DECODE_THREADS = 128,
    DECODE_WARPS = DECODE_THREADS / WARP,
    DECODE_KEYS = 64, // of a part
    DECODE_HEADS = 8, // query heads of a block, at most
};

struct decode_task {
    struct attention_heads y, q, k, v;
    const int32_t *positions, *sequences;
    const float *slopes; // [heads], device; NULL: none
    const float *sinks;  // the same
    float *parts;        // [rows, heads, splits, 2 + v_dim]: maximum, total, sums of values
    // Of each row, group and chunk, the parts that are there: 0 before and after the op. NULL:
    // nobody counts, and decode_join puts them together.
    unsigned *counts;
    int64_t keys;
    int rows, heads, group;         // of query heads
    int chunk, chunks;              // query heads of a block, and blocks of a group
    int dim, v_dim, splits, window; // window 0: none
    float scale, softcap;
    bool in_chunks, slopes_bf16; // see kn_attention
};

// Keys [begin, end) of one part, as positions.
struct decode_range {
    int begin, end;
};

__device__ inline int first_seen(const decode_task &task, int position) {
    if (task.in_chunks)
        return position - position % task.window;
    return task.window > 0 ? max(0, position + 1 - task.window) : 0;
}

__device__ inline decode_range range_of(const decode_task &task, int position, int split) {
    int begin = first_seen(task, position) + split * DECODE_KEYS;
    return {begin, min(begin + DECODE_KEYS, position + 1)};
}

__device__ inline float *part_of(const decode_task &task, int row, int head, int split) {
    int64_t index = ((int64_t)row * task.heads + head) * task.splits + split;
    return task.parts + index * (2 + task.v_dim);
}

// Parts of what a query at the position sees.
__device__ inline int parts_of(const decode_task &task, int position) {
    return (position + 1 - first_seen(task, position) + DECODE_KEYS - 1) / DECODE_KEYS;
}

template <typename T>
__device__ inline const T *cached(const decode_task &task, const attention_heads &heads,
                                  int sequence, int key, int group) {
    int keys = (int)task.keys, slot = key < keys ? key : key % keys;
    int64_t row = (int64_t)sequence * task.keys + slot;
    return static_cast<const T *>(heads.data) + row * heads.stride + group * heads.pitch;
}

__device__ inline float finish_score(const decode_task &task, int head, float dot, int query,
                                     int key) {
    float score = dot * task.scale;
    float slope = task.slopes ? task.slopes[head] : 0;
    if (task.slopes && task.slopes_bf16) {
        float there = attention_bf16(slope * attention_bf16((float)key));
        score += task.scale * (there - attention_bf16(slope * attention_bf16((float)query)));
    } else if (task.slopes) {
        score += slope * (float)(key - query);
    }
    return task.softcap > 0 ? task.softcap * tanhf(score / task.softcap) : score;
}

// Where a block stands: one part of the keys of one row, for the query heads [first_head,
// first_head + heads) that share them.
struct decode_place {
    int row, pair, first_head, heads, group, split; // pair: of a group and a chunk, of the row's
};

__device__ inline int pairs_of(const decode_task &task) {
    return task.heads / task.group * task.chunks;
}

__device__ inline decode_place place_at(const decode_task &task, int row, int pair, int split) {
    int chunk = pair % task.chunks;
    decode_place place;
    place.row = row;
    place.pair = pair;
    place.split = split;
    place.group = pair / task.chunks;
    place.first_head = place.group * task.group + chunk * task.chunk;
    place.heads = min(task.chunk, task.group - chunk * task.chunk);
    return place;
}

// That of a block of a grid of all places.
__device__ inline decode_place place_of(const decode_task &task) {
    int pair = (int)blockIdx.x / task.splits, pairs = pairs_of(task);
    return place_at(task, pair / pairs, pair % pairs, (int)blockIdx.x % task.splits);
}

__device__ inline float warp_max(float value) {
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
}

// Scores of a head become exp(score - maximum); maximum and total go into its part. By one warp.
__device__ inline void exponentiate(float *scores, int keys, float *part) {
    int lane = (int)threadIdx.x % WARP;
    float maximum = -INFINITY, total = 0;
    for (int i = lane; i < keys; i += WARP)
        maximum = fmaxf(maximum, scores[i]);
    maximum = warp_max(maximum);
    float shift = maximum == -INFINITY ? 0 : maximum;
    for (int i = lane; i < keys; i += WARP) {
        scores[i] = exp2f((scores[i] - shift) * ATTENTION_LOG2E);
        total += scores[i];
    }
    total = warp_sum(total);
    if (lane == 0) {
        part[0] = maximum;
        part[1] = total;
    }
}

// What a part weighs beside the others; 0 where there is none.
__device__ inline float part_weight(const decode_task &task, int row, int head, int part, int parts,
                                    float shift) {
    if (part >= parts)
        return 0;
    float maximum = __ldcg(part_of(task, row, head, part));
    return exp2f((maximum - shift) * ATTENTION_LOG2E);
}

// A head's parts put together, by a block. They come from where all blocks see them, a lane a part
// or, for sums of values, several loads on their way: one after the other they would take as
// long as all else.
template <typename T>
__device__ inline void join_parts(const decode_task &task, int row, int head, int position) {
    int parts = parts_of(task, position), lane = (int)threadIdx.x % WARP;
    float maximum = -INFINITY, total = 0;
    for (int s = lane; s < parts; s += WARP)
        maximum = fmaxf(maximum, __ldcg(part_of(task, row, head, s)));
    maximum = warp_max(maximum);
    float shift = maximum == -INFINITY ? 0 : maximum;
    for (int s = lane; s < parts; s += WARP)
        total = fmaf(__ldcg(part_of(task, row, head, s) + 1),
                     part_weight(task, row, head, s, parts, shift), total);
    total = warp_sum(total);
    if (task.sinks)
        total += exp2f((task.sinks[head] - shift) * ATTENTION_LOG2E);
    T *y = static_cast<T *>(const_cast<void *>(task.y.data)) + row * task.y.stride +
           head * task.y.pitch;
    for (int first = 0; first < task.v_dim; first += DECODE_THREADS) {
        int column = min(first + (int)threadIdx.x, task.v_dim - 1);
        float sum = 0;
        for (int begin = 0; begin < parts; begin += WARP) {
            float weight = part_weight(task, row, head, begin + lane, parts, shift);
            const float *sums = part_of(task, row, head, begin) + 2 + column;
            int count = min(WARP, parts - begin);
#pragma unroll 8
            for (int s = 0; s < count; s++)
                sum = fmaf(__ldcg(sums + (int64_t)s * (2 + task.v_dim)),
                           __shfl_sync(0xffffffffu, weight, s), sum);
        }
        if (first + (int)threadIdx.x < task.v_dim)
            y[column] = from_float<T>(sum / total);
    }
}

// Whether decode_packs takes the op, and its launch of `blocks`. (attention_decode_packs.cu)
bool decode_packs_take(const struct kn_decode_attention *op);
void decode_packs_launch(const struct cuda_backend *cuda, enum kn_type type,
                         const struct decode_task &task, unsigned blocks);

#endif
