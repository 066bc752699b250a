// SPDX-License-Identifier: Apache-2.0
// The head and its loss: logits of some rows at a time, reduced at once to what the loss needs.
#include "device.cuh"
#include "products.h"

constexpr int LOSS_THREADS = 256;
constexpr int64_t LOGIT_BYTES = 256 << 20;

struct loss_state {
    float maximum;
    double sum;
};

// Sums of exp(z - maximum) over two sets of logits as one; -infinity: no logits yet.
__device__ static struct loss_state joined(struct loss_state a, struct loss_state b) {
    float maximum = fmaxf(a.maximum, b.maximum);
    if (maximum == -INFINITY)
        return {maximum, a.sum + b.sum};
    return {maximum, a.sum * exp((double)a.maximum - (double)maximum) +
                         b.sum * exp((double)b.maximum - (double)maximum)};
}

__device__ static struct loss_state joined_over_warp(struct loss_state state) {
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        state = joined(state, {__shfl_xor_sync(0xffffffffu, state.maximum, distance),
                               __shfl_xor_sync(0xffffffffu, state.sum, distance)});
    return state;
}

struct loss_panel {
    const float *logits, *bias; // [rows, cols], [cols] or NULL
    int64_t stride, cols;
    float scale, softcap;
};

__device__ static float logit(const struct loss_panel &p, const float *row, int64_t c) {
    float z = p.scale * (row[c] + (p.bias ? p.bias[c] : 0));
    return p.softcap > 0 ? p.softcap * tanhf(z / p.softcap) : z;
}

// One row of logits a block joins the row's running maximum and sum.
__global__ void reduce_logits(struct loss_panel p, double *maximum, double *sum, double *target,
                              const int32_t *targets, int64_t first_id) {
    __shared__ struct loss_state shared[WARP];
    const float *row = p.logits + (int64_t)blockIdx.x * p.stride;
    float highest = -INFINITY, total = 0;
    for (int64_t c = threadIdx.x; c < p.cols; c += LOSS_THREADS) {
        float z = logit(p, row, c);
        if (z > highest) {
            total = total * expf(highest - z) + 1;
            highest = z;
        } else if (z != -INFINITY) { // NaN stays in the sum
            total += expf(z - highest);
        }
    }
    struct loss_state state = joined_over_warp({highest, (double)total});
    int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
    if (lane == 0)
        shared[warp] = state;
    __syncthreads();
    if (warp > 0)
        return;
    bool used = lane < LOSS_THREADS / WARP;
    state = joined_over_warp(used ? shared[lane] : loss_state{-INFINITY, 0});
    if (lane > 0)
        return;
    int64_t r = blockIdx.x, wanted = targets[r] < 0 ? -1 : targets[r] - first_id;
    double before = maximum[r], after = fmax(before, (double)state.maximum);
    double old = before == -INFINITY ? sum[r] : sum[r] * exp(before - after);
    double added =
        state.maximum == -INFINITY ? state.sum : state.sum * exp((double)state.maximum - after);
    maximum[r] = after;
    sum[r] = old + added;
    if (wanted >= 0 && wanted < p.cols)
        target[r] = (double)logit(p, row, wanted);
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
        CUDA_TRY(cuda_multiply(self, &y, x, &rows, NULL));
    y = cols_of(logits, whole, rest);
    rows = rows_of(w, whole, rest);
    return rest ? cuda_multiply(self, &y, x, &rows, NULL) : KN_OK;
}

enum kn_status cuda_loss(struct kn_backend *self, const struct kn_loss *op) {
    CUDA_TRY(kn_check_loss(op, self->activation_type));
    if (!op->x.rows || !op->w.rows)
        return KN_OK;
    int64_t step = rows_at_once(op), stride = logit_stride(op);
    size_t logit_bytes = (size_t)(step * stride) * 4;
    bool other = op->w.type != op->x.type;
    size_t w_bytes = other ? (size_t)(op->w.rows * op->w.cols) * kn_type_size(op->x.type) : 0;
    void *memory;
    CUDA_TRY(cuda_reserve(self, &memory, logit_bytes + w_bytes));
    struct kn_matrix w = op->w;
    if (other) {
        w = kn_matrix((char *)memory + logit_bytes, op->x.type, w.rows, w.cols);
        CUDA_TRY(cuda_convert_matrix(self, &w, &op->w));
    }
    struct loss_panel panel = {
        (const float *)memory, op->bias, stride, w.rows, op->scale, op->softcap};
    for (int64_t first = 0; first < op->x.rows; first += step) {
        int64_t rows = op->x.rows - first < step ? op->x.rows - first : step;
        struct kn_matrix x = rows_of(&op->x, first, rows);
        struct kn_matrix logits = {memory, KN_F32, rows, w.rows, stride};
        CUDA_TRY(multiply_head(self, &logits, &x, &w));
        reduce_logits<<<(unsigned)rows, LOSS_THREADS, 0, cuda_of(self)->ops>>>(
            panel, op->maximum + first, op->sum + first, op->target + first, op->targets + first,
            op->first_id);
        CUDA_TRY(cuda_launched(self, "the loss"));
    }
    return KN_OK;
}
