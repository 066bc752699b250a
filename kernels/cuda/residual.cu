// SPDX-License-Identifier: Apache-2.0
// The end of a block: its residual adds and their statistics; what they say of a sequence.
// One row a block; sums in f64, each thread's in the order of columns and then a fixed tree, the
// same in every kernel here.
#include "dependent.cuh"
#include "device.cuh"

struct row_reader {
    const float *data;
    int64_t stride;
};

// Zeros where the matrix is absent.
template <bool PACKED>
__device__ static pack<float, ROW_GROUP> read_group(const struct row_reader &m, int64_t c,
                                                    int64_t cols) {
    pack<float, ROW_GROUP> zero = {};
    return m.data ? read_group<PACKED>(m.data + (int64_t)blockIdx.x * m.stride, c, cols) : zero;
}

// v.v, v.e, e.e of one element pair.
__device__ static void accumulate(double *sums, float v, float e) {
    double a = (double)v, b = (double)e;
    sums[0] += a * a;
    sums[1] += a * b;
    sums[2] += b * b;
}

// ---- the end of a block ------------------------------------------------------------------------

// x += attention + mlp, as end_rows does it.
template <bool PACKED> __global__ void add_rows(struct kn_block_end op) {
    struct row_reader attention = {(const float *)op.attention.data, op.attention.stride};
    struct row_reader mlp = {(const float *)op.mlp.data, op.mlp.stride};
    float *x = (float *)op.x.data + (int64_t)blockIdx.x * op.x.stride;
    await_previous();
    let_next_begin();
    for (int64_t c = (int64_t)threadIdx.x * ROW_GROUP; c < op.x.cols; c += blockDim.x * ROW_GROUP) {
        pack<float, ROW_GROUP> v = read_group<PACKED>(x, c, op.x.cols),
                               a = read_group<PACKED>(attention, c, op.x.cols),
                               m = read_group<PACKED>(mlp, c, op.x.cols);
#pragma unroll
        for (int i = 0; i < ROW_GROUP; i++)
            v.v[i] += a.v[i] + m.v[i];
        write_group<float, PACKED>(x, c, op.x.cols, v);
    }
}

// sums: three statistics of each of the three adds, NaN where nothing of an add is there.
template <bool PACKED> __global__ void end_rows(struct kn_block_end op) {
    __shared__ double shared[9][WARP];
    struct row_reader attention = {(const float *)op.attention.data, op.attention.stride};
    struct row_reader mlp = {(const float *)op.mlp.data, op.mlp.stride};
    float *x = (float *)op.x.data + (int64_t)blockIdx.x * op.x.stride;
    double sums[9] = {};
    for (int64_t c = (int64_t)threadIdx.x * ROW_GROUP; c < op.x.cols; c += blockDim.x * ROW_GROUP) {
        pack<float, ROW_GROUP> v = read_group<PACKED>(x, c, op.x.cols),
                               a = read_group<PACKED>(attention, c, op.x.cols);
        pack<float, ROW_GROUP> m = read_group<PACKED>(mlp, c, op.x.cols);
#pragma unroll
        for (int i = 0; i < ROW_GROUP; i++) {
            float entering = op.parallel ? v.v[i] : v.v[i] + a.v[i], delta = a.v[i] + m.v[i];
            accumulate(sums, v.v[i], a.v[i]);
            accumulate(sums + 3, entering, m.v[i]);
            accumulate(sums + 6, v.v[i], delta);
            v.v[i] += delta;
        }
        write_group<float, PACKED>(x, c, op.x.cols, v);
    }
    block_sum(sums, shared);
    if (threadIdx.x < KN_RESIDUAL_ADDS) {
        int64_t at = (int64_t)threadIdx.x * op.x.rows + blockIdx.x;
        bool is_there[KN_RESIDUAL_ADDS] = {attention.data != NULL, mlp.data != NULL,
                                           attention.data || mlp.data};
        double out[9];
#pragma unroll
        for (int i = 0; i < 9; i++)
            out[i] = is_there[i / 3] ? sums[i] : (double)NAN;
        op.xx[at] = threadIdx.x == 0 ? out[0] : threadIdx.x == 1 ? out[3] : out[6];
        op.xd[at] = threadIdx.x == 0 ? out[1] : threadIdx.x == 1 ? out[4] : out[7];
        op.dd[at] = threadIdx.x == 0 ? out[2] : threadIdx.x == 1 ? out[5] : out[8];
    }
}

// Threads that add a row: all at once, where a block has so many.
static unsigned add_threads(int64_t cols) {
    unsigned threads = blocks_of(cols, ROW_GROUP * WARP) * WARP;
    return threads > 1024 ? 1024 : threads ? threads : WARP;
}

enum kn_status cuda_block_end(struct kn_backend *self, const struct kn_block_end *op) {
    KN_TRY(kn_check_block_end(op));
    if (!op->x.rows)
        return KN_OK;
    bool packed =
        is_packable(&op->x, 4) && is_packable(&op->attention, 4) && is_packable(&op->mlp, 4);
    const struct cuda_backend *cuda = cuda_of(self);
    auto kernel = packed ? end_rows<true> : end_rows<false>;
    if (op->xx)
        kernel<<<(unsigned)op->x.rows, row_threads(op->x.cols), 0, cuda->ops>>>(*op);
    else
        launch_dependent(cuda, cuda->ops, op->x.rows, packed ? add_rows<true> : add_rows<false>,
                         dim3((unsigned)op->x.rows), add_threads(op->x.cols), 0, *op);
    return cuda_launched(self, "the end of a block");
}

// ---- summaries ---------------------------------------------------------------------------------

constexpr int SUMMARY_THREADS = 256;

struct token {
    bool finite, angle;
    double cos, importance, ratio, alignment;
};

__device__ static struct token derive(double a, double b, double e) {
    double yy = a + 2 * b + e, scale = a * yy;
    struct token token = {};
    token.finite = isfinite(a) && isfinite(b) && isfinite(e);
    token.angle = token.finite && a > 0 && yy > 0;
    if (!token.angle)
        return token;
    double sine_squared = (a * e - b * b) / scale;
    sine_squared = sine_squared > 0 ? sine_squared : 0;
    token.cos = (a + b) / sqrt(scale);
    token.importance = token.cos >= 0 ? sine_squared / (1 + token.cos) : 1 - token.cos;
    token.ratio = sqrt(e / a);
    token.alignment = e > 0 ? b / sqrt(a * e) : 0;
    return token;
}

// The last bin that starts at or below the value, 0 when there is none.
__device__ static int bin_of(const double *starts, int64_t bins, double value) {
    int low = 0, high = (int)bins;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (starts[middle] <= value)
            low = middle;
        else
            high = middle;
    }
    return low;
}

// Integers are counted with atomics, whose order does not matter; sums of importance by position
// run over each bin's own stretch of the sequence in order of tokens, one thread a bin.
__device__ static void sum_positions(const struct kn_summary &op, const double *importance,
                                     double *sums, uint32_t *counts) {
    for (int64_t bin = threadIdx.x; bin < op.position_bins; bin += SUMMARY_THREADS) {
        double sum = 0;
        uint32_t count = 0;
        int64_t low = 0, high = op.seq_len; // the first position of the bin, by bisection
        while (low < high) {
            int64_t middle = (low + high) / 2;
            if (op.position_bin[middle] < bin)
                low = middle + 1;
            else
                high = middle;
        }
        for (int64_t i = low; i < op.seq_len && op.position_bin[i] == bin; i++)
            if (!isnan(importance[i])) {
                sum += importance[i];
                count++;
            }
        sums[KN_SUMS + bin] = sum;
        counts[KN_COUNTS + op.bins + bin] = count;
    }
}

// One sequence a block. `scratch` has the importance of each token, NaN where there is no angle.
__global__ void summarise(struct kn_summary op, double *scratch) {
    extern __shared__ uint32_t histogram[]; // [bins]
    __shared__ double shared[KN_SUMS][WARP];
    __shared__ uint32_t counted, nonfinite, first;
    int64_t sequence = blockIdx.x, begin = sequence * op.seq_len;
    double *sums = op.sums + sequence * (KN_SUMS + op.position_bins), *importance = scratch + begin;
    uint32_t *counts = op.counts + sequence * (KN_COUNTS + op.bins + op.position_bins);
    for (int64_t i = threadIdx.x; i < op.bins; i += SUMMARY_THREADS)
        histogram[i] = 0;
    if (threadIdx.x == 0) {
        counted = nonfinite = 0;
        first = (uint32_t)op.seq_len;
    }
    __syncthreads();
    double total[KN_SUMS] = {};
    for (int64_t i = threadIdx.x; i < op.seq_len; i += SUMMARY_THREADS) {
        double a = op.xx[begin + i], b = op.xd[begin + i], e = op.dd[begin + i];
        struct token token = derive(a, b, e);
        importance[i] = token.angle ? token.importance : (double)NAN;
        if (op.importance)
            op.importance[begin + i] = (float)importance[i];
        if (!token.finite) {
            atomicAdd(&nonfinite, 1);
            atomicMin(&first, (uint32_t)i);
        }
        if (!token.angle)
            continue;
        atomicAdd(&counted, 1);
        atomicAdd(&histogram[bin_of(op.bin_starts, op.bins, token.importance)], 1);
        const double values[KN_SUMS] = {
            token.cos, token.importance, token.ratio, token.alignment, a, b, e, sqrt(a)};
#pragma unroll
        for (int k = 0; k < KN_SUMS; k++)
            total[k] += values[k];
    }
    block_sum(total, shared);
    if (threadIdx.x == 0) {
#pragma unroll
        for (int k = 0; k < KN_SUMS; k++)
            sums[k] = total[k];
        counts[KN_COUNT_FINITE] = counted;
        counts[KN_COUNT_NONFINITE] = nonfinite;
        counts[KN_COUNT_FIRST] = first;
    }
    for (int64_t i = threadIdx.x; i < op.bins; i += SUMMARY_THREADS)
        counts[KN_COUNTS + i] = histogram[i];
    sum_positions(op, importance, sums, counts);
}

enum kn_status cuda_summary(struct kn_backend *self, const struct kn_summary *op) {
    KN_TRY(kn_check_summary(op));
    if (!op->sequences)
        return KN_OK;
    void *scratch;
    KN_TRY(cuda_reserve(self, &scratch, (size_t)(op->sequences * op->seq_len) * sizeof(double)));
    summarise<<<(unsigned)op->sequences, SUMMARY_THREADS, (size_t)op->bins * sizeof(uint32_t),
                cuda_of(self)->ops>>>(*op, (double *)scratch);
    return cuda_launched(self, "the summary");
}
