// SPDX-License-Identifier: Apache-2.0
// The head and its loss: logits of some rows at a time, reduced at once to what the loss needs.
#include "device.cuh"
#include "products.h"

constexpr int LOSS_THREADS = 256;
constexpr int GROUP = 4; // logits a thread takes at a time; rows are padded to a multiple of it
constexpr int64_t LOGIT_BYTES = 256 << 20;

struct loss_panel {
    const float *logits, *bias; // [rows, cols], [cols] or NULL
    int64_t stride, cols;
    float scale, softcap;
};

__device__ static float logit(const struct loss_panel &p, float product, int64_t c) {
    float z = p.scale * (product + (p.bias ? p.bias[c] : 0));
    return p.softcap > 0 ? p.softcap * tanhf(z / p.softcap) : z;
}

// The highest of a thread's logits so far and the sum of exp(z - highest) of them.
struct loss_state {
    float highest, sum;
};

// NaN goes into the sum and stays there; -infinity adds nothing.
__device__ static void take_logits(struct loss_state *state, const struct loss_panel &p,
                                   const pack<float, GROUP> &products, int64_t c, int64_t count) {
    float z[GROUP], highest = state->highest;
#pragma unroll
    for (int i = 0; i < GROUP; i++) {
        z[i] = i < count ? logit(p, products.v[i], c + i) : -INFINITY;
        highest = fmaxf(highest, z[i]);
    }
    if (highest > state->highest) {
        state->sum *= __expf(state->highest - highest);
        state->highest = highest;
    }
#pragma unroll
    for (int i = 0; i < GROUP; i++)
        state->sum += z[i] == -INFINITY ? 0 : __expf(z[i] - highest);
}

__device__ static float block_maximum(float value, float (&shared)[WARP]) {
    int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
    if (lane == 0)
        shared[warp] = value;
    __syncthreads();
    value = lane < LOSS_THREADS / WARP ? shared[lane] : -INFINITY;
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
}

// sum of exp(z - from) as one of exp(z - to); from -infinity: of no logits, or of NaN.
__device__ static double rescaled(double sum, double from, double to) {
    return from == -INFINITY ? sum : sum * exp(from - to);
}

// One row of logits a block joins the row's running maximum and sum.
__global__ void reduce_logits(struct loss_panel p, double *maximum, double *sum, double *target,
                              const int32_t *targets, int64_t first_id) {
    __shared__ float highest[WARP];
    __shared__ double sums[1][WARP];
    const float *row = p.logits + (int64_t)blockIdx.x * p.stride;
    struct loss_state state = {-INFINITY, 0};
    for (int64_t c = (int64_t)threadIdx.x * GROUP; c < p.cols; c += LOSS_THREADS * GROUP)
        take_logits(&state, p, load<float, GROUP>(row + c), c, p.cols - c);
    float panel_highest = block_maximum(state.highest, highest);
    double total[1] = {rescaled(state.sum, state.highest, panel_highest)};
    block_sum(total, sums);
    if (threadIdx.x > 0)
        return;
    int64_t r = blockIdx.x, wanted = targets[r] < 0 ? -1 : targets[r] - first_id;
    double before = maximum[r], after = fmax(before, (double)panel_highest);
    maximum[r] = after;
    sum[r] = rescaled(sum[r], before, after) + rescaled(total[0], panel_highest, after);
    if (wanted >= 0 && wanted < p.cols)
        target[r] = (double)logit(p, row[wanted], wanted);
}

static struct kn_matrix rows_of(const struct kn_matrix *m, int64_t first, int64_t count) {
    struct kn_matrix part = *m;
    part.data = (char *)m->data + (size_t)(first * m->stride) * kn_type_size(m->type);
    part.rows = count;
    return part;
}

// A row of logits starts where rows can be written fast, whatever the panel's size.
static int64_t logit_stride(const struct kn_loss *op) {
    return (op->w.rows + 63) / 64 * 64;
}

// Rows of logits that are held at a time: a function of the panel's shape alone.
static int64_t rows_at_once(const struct kn_loss *op) {
    int64_t rows = LOGIT_BYTES / 4 / logit_stride(op) / 128 * 128;
    rows = rows < 128 ? 128 : rows;
    return rows < op->x.rows ? rows : op->x.rows;
}

static struct kn_matrix cols_of(const struct kn_matrix *m, int64_t first, int64_t count) {
    struct kn_matrix part = *m;
    part.data = (char *)m->data + (size_t)first * kn_type_size(m->type);
    part.cols = count;
    return part;
}

// Vocabularies have any size, but the library writes fast only eights of columns: the last few are
// a product of their own.
static enum kn_status multiply_head(struct kn_backend *self, const struct kn_matrix *logits,
                                    const struct kn_matrix *x, const struct kn_matrix *w) {
    int64_t rest = w->rows % 8, whole = w->rows - rest;
    struct kn_matrix y = cols_of(logits, 0, whole), rows = rows_of(w, 0, whole);
    if (whole)
        KN_TRY(cuda_multiply(self, &y, x, &rows, NULL));
    y = cols_of(logits, whole, rest);
    rows = rows_of(w, whole, rest);
    return rest ? cuda_multiply(self, &y, x, &rows, NULL) : KN_OK;
}

enum kn_status cuda_loss(struct kn_backend *self, const struct kn_loss *op) {
    KN_TRY(kn_check_loss(op, self->activation_type));
    if (!op->x.rows || !op->w.rows)
        return KN_OK;
    int64_t step = rows_at_once(op), stride = logit_stride(op);
    size_t logit_bytes = (size_t)(step * stride) * 4;
    bool other = op->w.type != op->x.type;
    size_t w_bytes = other ? (size_t)(op->w.rows * op->w.cols) * kn_type_size(op->x.type) : 0;
    void *memory;
    KN_TRY(cuda_reserve(self, &memory, logit_bytes + w_bytes));
    struct kn_matrix w = op->w;
    if (other) {
        w = kn_matrix((char *)memory + logit_bytes, op->x.type, w.rows, w.cols);
        KN_TRY(cuda_convert_matrix(self, &w, &op->w));
    }
    struct loss_panel panel = {
        (const float *)memory, op->bias, stride, w.rows, op->scale, op->softcap};
    for (int64_t first = 0; first < op->x.rows; first += step) {
        int64_t rows = op->x.rows - first < step ? op->x.rows - first : step;
        struct kn_matrix x = rows_of(&op->x, first, rows);
        struct kn_matrix logits = {memory, KN_F32, rows, w.rows, stride};
        KN_TRY(multiply_head(self, &logits, &x, &w));
        reduce_logits<<<(unsigned)rows, LOSS_THREADS, 0, cuda_of(self)->ops>>>(
            panel, op->maximum + first, op->sum + first, op->target + first, op->targets + first,
            op->first_id);
        KN_TRY(cuda_launched(self, "the loss"));
    }
    return KN_OK;
}
