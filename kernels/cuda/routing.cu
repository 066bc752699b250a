// SPDX-License-Identifier: Apache-2.0
// Which experts rows go to: a warp chooses for a row, then rows are sorted by counting. Nothing
// depends on which block comes first.
#include "device.cuh"

constexpr unsigned FULL = 0xffffffffu; // all lanes of a warp
constexpr int SORTED_ROWS = 64;        // of a block that sorts: a bit each
constexpr int SCAN_THREADS = 1024;

// ---- choosing ----------------------------------------------------------------------------------

// What a warp has of a row: p, s and which are taken, all [experts]; sums of groups [groups].
struct route_row {
    float *p, *score, *sums;
    unsigned char *taken, *eligible;
};

__device__ __host__ static size_t row_bytes(int experts, int groups) {
    return (size_t)(2 * experts + groups) * 4 + (size_t)((experts + groups + 15) / 16 * 16);
}

__device__ static route_row row_of(unsigned char *memory, int experts, int groups) {
    float *p = reinterpret_cast<float *>(memory);
    auto *taken = reinterpret_cast<unsigned char *>(p + 2 * experts + groups);
    return {p, p + experts, p + 2 * experts, taken, taken + experts};
}

// NaN counts as the highest value, of equals the lower index is first.
__device__ static bool is_before(float a, int a_index, float b, int b_index) {
    if (isnan(a) != isnan(b))
        return isnan(a);
    if (isnan(a) || a == b)
        return a_index < b_index;
    return a > b;
}

// The index of the first in that order of those that are not taken; there is one.
__device__ static int best_of(const float *values, const unsigned char *taken, int count) {
    int lane = (int)threadIdx.x % WARP, best = count;
    float value = -INFINITY;
    for (int i = lane; i < count; i += WARP)
        if (!taken[i] && (best == count || is_before(values[i], i, value, best))) {
            value = values[i];
            best = i;
        }
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        float other = __shfl_xor_sync(FULL, value, distance);
        int index = __shfl_xor_sync(FULL, best, distance);
        if (index < count && (best == count || is_before(other, index, value, best))) {
            value = other;
            best = index;
        }
    }
    return best;
}

// Takes the `used` best; returns the sum of p of these, the best first.
__device__ static float take_best(const float *values, unsigned char *taken, int count, int used,
                                  const float *p) {
    int lane = (int)threadIdx.x % WARP;
    float total = 0;
    for (int i = lane; i < count; i += WARP)
        taken[i] = 0;
    __syncwarp();
    for (int k = 0; k < used; k++) {
        int best = best_of(values, taken, count);
        total += p[best];
        __syncwarp();
        if (lane == 0)
            taken[best] = 1;
        __syncwarp();
    }
    return total;
}

__device__ static void soften(const route_row &row, int experts) {
    int lane = (int)threadIdx.x % WARP;
    float highest = -INFINITY;
    double total = 0;
    for (int e = lane; e < experts; e += WARP)
        highest = fmaxf(highest, row.p[e]);
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        highest = fmaxf(highest, __shfl_xor_sync(FULL, highest, distance));
    for (int e = lane; e < experts; e += WARP)
        total += exp((double)row.p[e] - (double)highest);
    total = warp_sum(total);
    for (int e = lane; e < experts; e += WARP)
        row.p[e] = (float)(exp((double)row.p[e] - (double)highest) / total);
}

__device__ static float logistic_of(float v) {
    return (float)(1 / (1 + exp(-(double)v)));
}

// The sum of a group's one or two highest scores.
__device__ static float group_sum(const float *scores, int size, bool two) {
    int best = 0, second = -1;
    for (int i = 1; i < size; i++) {
        if (is_before(scores[i], i, scores[best], best)) {
            second = best;
            best = i;
        } else if (second < 0 || is_before(scores[i], i, scores[second], second)) {
            second = i;
        }
    }
    return two && second >= 0 ? scores[best] + scores[second] : scores[best];
}

// Scores of experts outside the best groups become `never`.
__device__ static void limit_groups(const kn_route &op, const route_row &row, float *scores,
                                    float never) {
    int lane = (int)threadIdx.x % WARP, groups = (int)op.groups;
    int experts = (int)op.logits.cols, size = experts / groups;
    for (int g = lane; g < groups; g += WARP)
        row.sums[g] = group_sum(scores + g * size, size, op.sigmoid);
    __syncwarp();
    take_best(row.sums, row.eligible, groups, (int)op.groups_used, row.sums);
    for (int e = lane; e < experts; e += WARP)
        if (!row.eligible[e / size])
            scores[e] = never;
    __syncwarp();
}

// p, and the scores that choose.
__device__ static const float *score_row(const kn_route &op, const route_row &row) {
    int lane = (int)threadIdx.x % WARP, experts = (int)op.logits.cols;
    bool is_apart = op.sigmoid || op.correction;
    float *scores = is_apart ? row.score : row.p;
    if (!op.sigmoid)
        soften(row, experts);
    for (int e = lane; e < experts && is_apart; e += WARP) {
        row.p[e] = op.sigmoid ? logistic_of(row.p[e]) : row.p[e];
        row.score[e] = row.p[e] + (op.correction ? op.correction[e] : 0);
    }
    __syncwarp();
    if (op.groups > 1)
        limit_groups(op, row, scores, op.sigmoid ? -INFINITY : 0);
    return scores;
}

// The taken experts, ascending, and their weights.
__device__ static void write_row(const kn_route &op, const route_row &row, int64_t at,
                                 float scale) {
    int lane = (int)threadIdx.x % WARP, experts = (int)op.logits.cols, count = 0;
    for (int e = lane; e - lane < experts; e += WARP) {
        bool is_taken = e < experts && row.taken[e];
        unsigned mask = __ballot_sync(FULL, is_taken);
        int place = count + __popc(mask & ((1U << lane) - 1));
        if (is_taken) {
            op.positions[at * op.used + place] = e;
            op.weights[at * op.used + place] = row.p[e] * scale;
        }
        count += __popc(mask);
    }
}

__global__ void choose_experts(kn_route op) {
    extern __shared__ __align__(16) unsigned char memory[];
    int experts = (int)op.logits.cols, warp = (int)threadIdx.x / WARP,
        lane = (int)threadIdx.x % WARP;
    int64_t at = (int64_t)blockIdx.x * (blockDim.x / WARP) + warp;
    if (at >= op.logits.rows)
        return;
    route_row row =
        row_of(memory + (size_t)warp * row_bytes(experts, (int)op.groups), experts, (int)op.groups);
    const float *logits = (const float *)op.logits.data + at * op.logits.stride;
    for (int e = lane; e < experts; e += WARP)
        row.p[e] = logits[e];
    __syncwarp();
    const float *scores = score_row(op, row);
    float total = take_best(scores, row.taken, experts, (int)op.used, row.p);
    write_row(op, row, at, (op.normalise ? 1 / total : 1) * op.scale);
    if (lane == 0 && op.shared_weights)
        op.shared_weights[at] = op.shared_gates ? logistic_of(op.shared_gates[at]) : 1;
}

// ---- sorting -----------------------------------------------------------------------------------

// Which of the block's rows chose each expert, a bit a row; a row chooses an expert once.
__device__ static int collect(const kn_route &op, unsigned long long *bits) {
    int64_t first = (int64_t)blockIdx.x * SORTED_ROWS, used = op.used;
    int64_t rows = op.logits.rows - first;
    int entries = (int)((rows < SORTED_ROWS ? rows : SORTED_ROWS) * used);
    for (int e = (int)threadIdx.x; e < op.logits.cols; e += (int)blockDim.x)
        bits[e] = 0;
    __syncthreads();
    for (int i = (int)threadIdx.x; i < entries; i += (int)blockDim.x)
        atomicOr(&bits[op.positions[first * used + i]], 1ULL << (i / used));
    __syncthreads();
    return entries;
}

// counts[block, expert]
__global__ void count_rows(kn_route op, int *counts) {
    extern __shared__ unsigned long long bits[];
    collect(op, bits);
    for (int e = (int)threadIdx.x; e < op.logits.cols; e += (int)blockDim.x)
        counts[blockIdx.x * op.logits.cols + e] = __popcll(bits[e]);
}

// A warp's sum up to and with each lane.
__device__ static int scan_warp(int value) {
    int lane = (int)threadIdx.x % WARP;
    for (int distance = 1; distance < WARP; distance *= 2) {
        int other = __shfl_up_sync(FULL, value, distance);
        value += lane >= distance ? other : 0;
    }
    return value;
}

// counts[block, expert] becomes that of the blocks before; first as in kn_route. One block.
__global__ void scan_counts(kn_route op, int *counts, int blocks) {
    extern __shared__ int totals[];
    int experts = (int)op.logits.cols, lane = (int)threadIdx.x % WARP;
    for (int e = (int)threadIdx.x / WARP; e < experts; e += SCAN_THREADS / WARP) {
        int before = 0;
        for (int block = lane; block - lane < blocks; block += WARP) {
            int own = block < blocks ? counts[block * experts + e] : 0, sum = scan_warp(own);
            if (block < blocks)
                counts[block * experts + e] = before + sum - own;
            before += __shfl_sync(FULL, sum, WARP - 1);
        }
        if (lane == 0)
            totals[e] = before;
    }
    __syncthreads();
    if (threadIdx.x >= WARP)
        return;
    int64_t before = 0;
    for (int e = lane; e - lane < experts; e += WARP) {
        int own = e < experts ? totals[e] : 0, sum = scan_warp(own);
        if (e < experts)
            op.first[e] = before + sum - own;
        before += __shfl_sync(FULL, sum, WARP - 1);
    }
    if (lane == 0)
        op.first[experts] = before;
}

// Each entry's place: behind the rows of its expert that come before.
__global__ void place_rows(kn_route op, const int *counts) {
    extern __shared__ unsigned long long bits[];
    int entries = collect(op, bits);
    int64_t first = (int64_t)blockIdx.x * SORTED_ROWS;
    for (int i = (int)threadIdx.x; i < entries; i += (int)blockDim.x) {
        int32_t *entry = op.positions + first * op.used + i;
        int row = i / (int)op.used, expert = *entry;
        int before = __popcll(bits[expert] & ((1ULL << row) - 1));
        int64_t to = op.first[expert] + counts[blockIdx.x * op.logits.cols + expert] + before;
        op.rows[to] = (int32_t)(first + row);
        *entry = (int32_t)to;
    }
}

// ---- host --------------------------------------------------------------------------------------

static enum kn_status choose(struct kn_backend *self, const struct kn_route *op) {
    size_t each = row_bytes((int)op->logits.cols, (int)op->groups), most = 48 << 10;
    int warps = (int)(most / each < 8 ? most / each : 8);
    choose_experts<<<blocks_of(op->logits.rows, warps), warps * WARP, (size_t)warps * each,
                     cuda_of(self)->ops>>>(*op);
    return cuda_launched(self, "choosing experts");
}

static enum kn_status sort(struct kn_backend *self, const struct kn_route *op) {
    cudaStream_t stream = cuda_of(self)->ops;
    unsigned blocks = blocks_of(op->logits.rows, SORTED_ROWS);
    size_t bits = (size_t)op->logits.cols * 8;
    void *counts = NULL;
    KN_TRY(cuda_reserve(self, &counts, (size_t)blocks * (size_t)op->logits.cols * sizeof(int)));
    count_rows<<<blocks, 256, bits, stream>>>(*op, (int *)counts);
    scan_counts<<<1, SCAN_THREADS, (size_t)op->logits.cols * sizeof(int), stream>>>(
        *op, (int *)counts, (int)blocks);
    place_rows<<<blocks, 256, bits, stream>>>(*op, (const int *)counts);
    return cuda_launched(self, "sorting rows by experts");
}

enum kn_status cuda_route(struct kn_backend *self, const struct kn_route *op) {
    KN_TRY(kn_check_route(op));
    if (!op->logits.rows) {
        cudaError_t code = cudaMemsetAsync(
            op->first, 0, (size_t)(op->logits.cols + 1) * sizeof *op->first, cuda_of(self)->ops);
        return cuda_check(self, code, "no rows for experts");
    }
    static_assert(2 * KN_MAX_EXPERTS * 4 + KN_MAX_EXPERT_GROUPS * 5 + KN_MAX_EXPERTS + 16 <=
                      48 << 10,
                  "a row fits");
    KN_TRY(choose(self, op));
    return sort(self, op);
}
