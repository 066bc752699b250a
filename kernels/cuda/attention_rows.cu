// SPDX-License-Identifier: Apache-2.0
// Attention one row and head a warp, for what the tile kernels do not take or have marked: any
// dims, and keys that a row does not see touch nothing.
//   lanes are keys for the scores, 32 at a time, then columns for the sums of values
#include "attention.cuh"

enum {
    ROWS_WARPS = 8,
    ROWS_THREADS = ROWS_WARPS * WARP,
    ROWS_EACH = 8, // columns a lane
    ROWS_COLUMNS = WARP * ROWS_EACH
};

struct row {
    int sequence, head, position; // head counts from first_head
};

template <typename T>
__device__ static float row_score(const attention_task &task, const row &r, int key) {
    const T *q = attention_query_row<T>(task.q, task, r.sequence, r.position,
                                        attention_query_head(task, r.head));
    const T *k =
        attention_key_row<T>(task.k, task, r.sequence, key, attention_key_head(task, r.head));
    float dot = 0;
    for (int i = 0; i < task.dim; i++)
        dot = fmaf(to_float(q[i]), to_float(k[i]), dot);
    return attention_score(task, task.slopes[r.head], dot, r.position, key);
}

__device__ static float warp_max(float value) {
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
}

// sum[i] += weight * v[key][first_column + lane + 32 i] over the 32 keys from `key` on
template <typename T>
__device__ static void add_values(const attention_task &task, const row &r, int key,
                                  int first_column, float weight, float (&sum)[ROWS_EACH]) {
    int lane = (int)threadIdx.x % WARP, keys = min(WARP, r.position + 1 - key);
    for (int j = 0; j < keys; j++) {
        const T *v = attention_key_row<T>(task.v, task, r.sequence, key + j,
                                          attention_key_head(task, r.head));
        float w = __shfl_sync(0xffffffffu, weight, j);
#pragma unroll
        for (int i = 0; i < ROWS_EACH; i++) {
            int column = first_column + lane + WARP * i;
            if (column < task.v_dim)
                sum[i] = fmaf(w, to_float(v[column]), sum[i]);
        }
    }
}

template <typename T>
__device__ static void attend_columns(const attention_task &task, const row &r, int first_column) {
    int lane = (int)threadIdx.x % WARP;
    float maximum = -INFINITY, total = 0, sum[ROWS_EACH] = {};
    for (int key = attention_first_key(task, r.position); key <= r.position; key += WARP) {
        bool is_seen = key + lane <= r.position;
        float score = is_seen ? row_score<T>(task, r, key + lane) : -INFINITY;
        if (__any_sync(0xffffffffu, isnan(score))) { // so is the row, whatever follows
            total = NAN;
            break;
        }
        float largest = fmaxf(maximum, warp_max(score)), shift = largest == -INFINITY ? 0 : largest;
        float factor = exp2f((maximum - shift) * ATTENTION_LOG2E);
        float weight = exp2f((score - shift) * ATTENTION_LOG2E);
        maximum = largest;
        total = total * factor + weight;
#pragma unroll
        for (int i = 0; i < ROWS_EACH; i++)
            sum[i] *= factor;
        add_values<T>(task, r, key, first_column, weight, sum);
    }
    total = warp_sum(total) + attention_sink(task, r.head, maximum);
    T *y = const_cast<T *>(attention_query_row<T>(task.y, task, r.sequence, r.position,
                                                  attention_query_head(task, r.head)));
#pragma unroll
    for (int i = 0; i < ROWS_EACH; i++) {
        int column = first_column + lane + WARP * i;
        if (column < task.v_dim)
            y[column] = from_float<T>(sum[i] / total);
    }
}

template <typename T> __device__ static void attend_unit(const attention_task &task, int unit) {
    int units = attention_units(task), pair = unit / units;
    int first = task.first + unit % units * ATTENTION_UNIT;
    int end = min(first + ATTENTION_UNIT, attention_end(task));
    for (int p = first + (int)threadIdx.x / WARP; p < end; p += ROWS_WARPS)
        for (int column = 0; column < task.v_dim; column += ROWS_COLUMNS)
            attend_columns<T>(task, {pair / task.heads, pair % task.heads, p}, column);
}

// A block reads the marks of `each` units at once: few are set.
template <typename T>
__global__ void __launch_bounds__(ROWS_THREADS)
    rows_kernel(const __grid_constant__ attention_task task, int each) {
    __shared__ bool is_marked[ROWS_THREADS];
    int count = attention_pairs(task) * attention_units(task), thread = (int)threadIdx.x;
    int first = (int)blockIdx.x * each;
    bool is_mine =
        thread < each && first + thread < count && (!task.marks || task.marks[first + thread] != 0);
    is_marked[thread] = is_mine;
    if (!__syncthreads_or(is_mine))
        return;
    for (int i = 0; i < each; i++)
        if (is_marked[i])
            attend_unit<T>(task, first + i);
}

enum kn_status attention_rows(struct kn_backend *self, struct attention_launch *launch) {
    int units = attention_pairs(launch->task) * attention_units(launch->task);
    int each = launch->task.marks ? (int)ROWS_THREADS : 1;
    by_type(launch->type, [&](auto element) {
        rows_kernel<decltype(element)>
            <<<blocks_of(units, each), ROWS_THREADS, 0, launch->stream>>>(launch->task, each);
    });
    return cuda_launched(self, "attention by rows");
}
