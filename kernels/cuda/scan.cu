// SPDX-License-Identifier: Apache-2.0
// Convolutions along sequences, and selective state spaces as recurrences: a warp for each entry of
// each head of each sequence, whose row of the state lies in the registers of the warp's lanes.
#include "activation.cuh"
#include "check.h"

constexpr int THREADS = 256;
constexpr int64_t MOST_STATES = 512;

// ---- convolution -------------------------------------------------------------------------------

template <typename T> __global__ void convolve(struct kn_convolution op, int64_t count) {
    using W = typename wide<T>::type;
    const struct activation_parameters none = {};
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= count)
        return;
    int64_t row = at / op.y.cols, col = at % op.y.cols;
    int64_t first = op.taps - 1 - row % op.length;
    W sum = op.bias ? (W)op.bias[col] : (W)0;
    for (int64_t t = first > 0 ? first : 0; t < op.taps; t++) {
        const T *x = (const T *)op.x.data + (row - op.taps + 1 + t) * op.x.stride;
        sum += (W)op.weight[col * op.taps + t] * (W)to_float(x[col]);
    }
    T *y = (T *)op.y.data + row * op.y.stride;
    y[col] = from_float<T>((float)activate<W>(op.activation, none, sum));
}

enum kn_status cuda_convolution(struct kn_backend *self, const struct kn_convolution *op) {
    KN_TRY(kn_check_convolution(op, self->activation_type));
    int64_t count = op->y.rows * op->y.cols;
    if (!count)
        return KN_OK;
    by_type(op->y.type, [&](auto zero) {
        using T = decltype(zero);
        convolve<T><<<blocks_of(count, THREADS), THREADS, 0, cuda_of(self)->ops>>>(*op, count);
    });
    return cuda_launched(self, "a convolution");
}

// ---- scan --------------------------------------------------------------------------------------

template <typename T>
__device__ static const T *head_at(const struct kn_heads &h, int64_t row, int64_t head) {
    return (const T *)h.x.data + row * h.x.stride + h.first_col + head * h.pitch;
}

template <typename T>
__device__ static float step_of(const struct kn_scan &op, int64_t row, int64_t head) {
    float dt = to_float(*head_at<T>(op.dt, row, head)) + op.dt_bias[head];
    float step = fmaxf(dt, 0.f) + log1pf(expf(-fabsf(dt)));
    step = step < op.low ? op.low : step; // NaN stays NaN
    return step > op.high ? op.high : step;
}

// A lane has the states lane, lane + 32, ... of its warp's row; EACH of them at most.
template <typename T, int EACH> __global__ void scan_entries(struct kn_scan op, int64_t count) {
    int64_t task = ((int64_t)blockIdx.x * THREADS + threadIdx.x) / WARP;
    int lane = (int)threadIdx.x % WARP;
    if (task >= count)
        return;
    int64_t entry = task % op.x.dim, head = task / op.x.dim % op.x.count;
    int64_t begin = task / op.x.dim / op.x.count * op.length;
    int64_t group = head / (op.x.count / op.b.count);
    float rate = -expf(op.a_log[head]), skip = op.d[head], state[EACH] = {};
    for (int64_t r = begin; r < begin + op.length; r++) {
        const T *b = head_at<T>(op.b, r, group), *c = head_at<T>(op.c, r, group);
        float step = step_of<T>(op, r, head), x = to_float(head_at<T>(op.x, r, head)[entry]);
        float decay = expf(rate * step), into = step * x, sum = 0;
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            int64_t n = lane + i * WARP;
            if (n < op.b.dim) {
                state[i] = decay * state[i] + into * to_float(b[n]);
                sum += state[i] * to_float(c[n]);
            }
        }
        sum = warp_sum(sum);
        if (lane == 0)
            *(T *)(head_at<T>(op.y, r, head) + entry) = from_float<T>(sum + skip * x);
    }
}

template <typename T, int EACH>
static void launch_scan(cudaStream_t stream, const struct kn_scan *op, int64_t count) {
    if (EACH * WARP < MOST_STATES && op->b.dim > EACH * WARP) {
        launch_scan < T, EACH *WARP<MOST_STATES ? 2 * EACH : EACH>(stream, op, count);
        return;
    }
    scan_entries<T, EACH><<<blocks_of(count * WARP, THREADS), THREADS, 0, stream>>>(*op, count);
}

enum kn_status cuda_scan(struct kn_backend *self, const struct kn_scan *op) {
    KN_TRY(kn_check_scan(op, self->activation_type));
    int64_t count = op->x.x.rows / op->length * op->x.count * op->x.dim;
    if (op->b.dim > MOST_STATES)
        return KN_EUNSUPPORTED;
    if (!count)
        return KN_OK;
    by_type(op->y.x.type,
            [&](auto zero) { launch_scan<decltype(zero), 1>(cuda_of(self)->ops, op, count); });
    return cuda_launched(self, "a scan over positions");
}
