// SPDX-License-Identifier: Apache-2.0
// The head: logits of some rows at a time, of the base and one candidate, reduced at once to what
// losses and divergences need. A loss is a divergence without candidates. Products of logits are
// rounded on their own (__fmul_rn): fused with what follows, equal logits would differ.
#include "dependent.cuh"
#include "device.cuh"
#include "products.h"

extern "C" {
#include "head.h"
}

#include <limits.h>

constexpr int LOSS_THREADS = 256;
constexpr int GROUP = 4; // logits a thread takes at a time; rows are padded to a multiple of it
constexpr int64_t LOGIT_BYTES = 256 << 20;

struct loss_panel {
    const float *bias; // [cols] or NULL
    int64_t stride, cols, first_id;
    float scale, softcap;
};

__device__ static float logit(const struct loss_panel &p, float product, int64_t c) {
    float z = __fmul_rn(p.scale, product + (p.bias ? p.bias[c] : 0));
    return p.softcap > 0 ? __fmul_rn(p.softcap, tanhf(z / p.softcap)) : z;
}

// A thread's logits of one group, -infinity beyond the row's columns.
struct logits {
    float z[GROUP];
};

__device__ static struct logits read_logits(const struct loss_panel &p, const float *row,
                                            int64_t c) {
    pack<float, GROUP> products = load<float, GROUP>(row + c);
    int64_t count = p.cols - c;
    struct logits group;
#pragma unroll
    for (int i = 0; i < GROUP; i++)
        group.z[i] = i < count ? logit(p, products.v[i], c + i) : -INFINITY;
    return group;
}

// The highest of a thread's logits so far, its first column, and the sum of exp(z - highest).
struct loss_state {
    float highest, sum;
    int best;
};

// What a pass over logits makes of them. A loss alone asks for no best.
enum pass { LOSS, BASE, CANDIDATE };

// NaN goes into the sum and stays there; -infinity adds nothing.
template <enum pass PASS>
__device__ static void take_logits(struct loss_state *state, const struct logits &group,
                                   int64_t c) {
    float highest = state->highest;
#pragma unroll
    for (int i = 0; i < GROUP; i++)
        highest = fmaxf(highest, group.z[i]);
    if (highest > state->highest) {
        state->sum = __fmul_rn(state->sum, __expf(state->highest - highest));
        state->highest = highest;
        if constexpr (PASS != LOSS) {
#pragma unroll
            for (int i = GROUP - 1; i >= 0; i--)
                state->best = group.z[i] == highest ? (int)c + i : state->best;
        }
    }
#pragma unroll
    for (int i = 0; i < GROUP; i++)
        state->sum += group.z[i] == -INFINITY ? 0 : __expf(group.z[i] - highest);
}

// The sum of exp(z_base - maximum) * (z_base - z) over a group; NaN where a logit is not finite,
// by the difference's own difference.
__device__ static float cross_of(const struct logits &base, const struct logits &own, float maximum,
                                 int64_t count) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < GROUP; i++)
        if (i < count) {
            float difference = base.z[i] - own.z[i];
            sum += __expf(base.z[i] - maximum) * difference + (difference - difference);
        }
    return sum;
}

template <typename T, typename F> __device__ static T warp_fold(T value, F fold) {
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value = fold(value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
}

// The block's values folded into one, in every thread.
template <typename T, typename F>
__device__ static T block_fold(T value, T nothing, T (&shared)[WARP], F fold) {
    int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
    value = warp_fold(value, fold);
    if (lane == 0)
        shared[warp] = value;
    __syncthreads();
    return warp_fold(lane < LOSS_THREADS / WARP ? shared[lane] : nothing, fold);
}

// sum of exp(z - from) as one of exp(z - to); from -infinity: of no logits, or of NaN.
__device__ static double rescaled(double sum, double from, double to) {
    return from == -INFINITY ? sum : __dmul_rn(sum, exp(from - to));
}

// A row's sums over the panel join those over the panels before; returns the maximum before.
__device__ static double join_loss(const struct kn_head_candidate &stream, int64_t r,
                                   double panel_highest, double panel_sum) {
    double before = stream.maximum[r], after = fmax(before, panel_highest);
    stream.maximum[r] = after;
    stream.sum[r] =
        rescaled(stream.sum[r], before, after) + rescaled(panel_sum, panel_highest, after);
    return before;
}

__device__ static void keep_target(const struct loss_panel &p,
                                   const struct kn_head_candidate &stream, const float *row,
                                   int64_t r, const int32_t *targets) {
    int64_t wanted = targets[r] < 0 ? -1 : targets[r] - p.first_id;
    if (wanted >= 0 && wanted < p.cols)
        stream.target[r] = (double)logit(p, row[wanted], wanted);
}

// Logits of `row_count` rows, and where a pass finds and leaves what candidates need of the base.
struct rows_at_hand {
    const float *own, *base; // [rows, stride]; base: of a candidate
    const double *maximum;   // [n] of the base, this panel included
    double *before;          // [rows] and without it
    const int32_t *targets;  // [n]
    int64_t first;           // of n
};

// A block reduces one row of logits and joins what that gives to the row's running numbers.
template <enum pass PASS>
__global__ void reduce_logits(struct loss_panel p, struct rows_at_hand at,
                              struct kn_head_candidate stream) {
    __shared__ float highest[WARP];
    __shared__ int bests[WARP];
    constexpr int SUMS = PASS == CANDIDATE ? 2 : 1;
    __shared__ double sums[SUMS][WARP];
    int64_t r = at.first + blockIdx.x, start = (int64_t)blockIdx.x * p.stride;
    struct loss_state state = {-INFINITY, 0, INT_MAX};
    await_previous();
    let_next_begin();
    float base_maximum = PASS == CANDIDATE ? (float)at.maximum[r] : 0;
    double cross = 0;
    for (int64_t c = (int64_t)threadIdx.x * GROUP; c < p.cols; c += LOSS_THREADS * GROUP) {
        struct logits own = read_logits(p, at.own + start, c);
        take_logits<PASS>(&state, own, c);
        if constexpr (PASS == CANDIDATE)
            cross +=
                (double)cross_of(read_logits(p, at.base + start, c), own, base_maximum, p.cols - c);
    }
    float panel_highest = block_fold(state.highest, -INFINITY, highest, fmaxf);
    int best = INT_MAX;
    if constexpr (PASS != LOSS)
        best = block_fold(state.highest == panel_highest ? state.best : INT_MAX, INT_MAX, bests,
                          [](int a, int b) { return a < b ? a : b; });
    double total[SUMS] = {rescaled(state.sum, state.highest, panel_highest)};
    if constexpr (PASS == CANDIDATE)
        total[1] = cross;
    block_sum(total, sums);
    if (threadIdx.x > 0)
        return;
    double before = join_loss(stream, r, panel_highest, total[0]);
    keep_target(p, stream, at.own + start, r, at.targets);
    if constexpr (PASS == BASE)
        at.before[blockIdx.x] = before;
    if constexpr (PASS == CANDIDATE)
        stream.cross[r] =
            rescaled(stream.cross[r], at.before[blockIdx.x], at.maximum[r]) + total[SUMS - 1];
    if constexpr (PASS != LOSS)
        kn_head_take_best(&stream, r, isnan(total[0]) ? total[0] : (double)panel_highest,
                          p.first_id + best);
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

// The scratch of an op; every part starts at a multiple of 256 bytes.
struct head_scratch {
    float *base, *own;  // logits [rows_at_once, logit_stride]; own: of a candidate
    double *before;     // [rows_at_once]
    struct kn_matrix w; // in the activation type
};

static size_t padded(size_t bytes) {
    return (bytes + 255) / 256 * 256;
}

static enum kn_status reserve(struct kn_backend *self, const struct kn_divergence *op,
                              struct head_scratch *scratch) {
    const struct kn_loss *loss = &op->base;
    int64_t rows = rows_at_once(loss);
    size_t logit_bytes = (size_t)(rows * logit_stride(loss)) * 4, before_bytes = padded(rows * 8);
    size_t all_logits = (op->candidates ? 2 : 1) * logit_bytes;
    bool other = loss->w.type != loss->x.type;
    size_t w_bytes = (size_t)(loss->w.rows * loss->w.cols) * kn_type_size(loss->x.type);
    char *memory;
    KN_TRY(cuda_reserve(self, (void **)&memory, all_logits + before_bytes + (other ? w_bytes : 0)));
    scratch->base = (float *)memory;
    scratch->own = (float *)(memory + logit_bytes);
    scratch->before = (double *)(memory + all_logits);
    scratch->w = loss->w;
    if (!other)
        return KN_OK;
    scratch->w =
        kn_matrix(memory + all_logits + before_bytes, loss->x.type, loss->w.rows, loss->w.cols);
    return cuda_convert_matrix(self, &scratch->w, &loss->w);
}

// One stream's logits of some rows, reduced.
static enum kn_status pass_rows(struct kn_backend *self, const struct kn_divergence *op,
                                const struct head_scratch *scratch, int64_t i, int64_t first,
                                int64_t count) {
    const struct kn_loss *loss = &op->base;
    struct kn_head_candidate stream = kn_head_stream(op, i);
    float *own = i ? scratch->own : scratch->base;
    struct loss_panel panel = {loss->bias,     logit_stride(loss), loss->w.rows,
                               loss->first_id, loss->scale,        loss->softcap};
    struct rows_at_hand at = {own,           scratch->base, loss->maximum, scratch->before,
                              loss->targets, first};
    struct kn_matrix x = rows_of(&stream.x, first, count);
    struct kn_matrix logits = {own, KN_F32, count, loss->w.rows, panel.stride};
    KN_TRY(multiply_head(self, &logits, &x, &scratch->w));
    auto kernel = i          ? reduce_logits<CANDIDATE>
                  : op->best ? reduce_logits<BASE>
                             : reduce_logits<LOSS>;
    launch_dependent(cuda_of(self), cuda_of(self)->ops, count, kernel, dim3((unsigned)count),
                     LOSS_THREADS, 0, panel, at, stream);
    return cuda_launched(self, "the head");
}

static enum kn_status run_head(struct kn_backend *self, const struct kn_divergence *op) {
    const struct kn_loss *loss = &op->base;
    struct head_scratch scratch;
    if (!loss->x.rows || !loss->w.rows)
        return KN_OK;
    KN_TRY(reserve(self, op, &scratch));
    int64_t step = rows_at_once(loss);
    for (int64_t first = 0; first < loss->x.rows; first += step) {
        int64_t count = loss->x.rows - first < step ? loss->x.rows - first : step;
        for (int64_t i = 0; i <= op->candidates; i++)
            KN_TRY(pass_rows(self, op, &scratch, i, first, count));
    }
    return KN_OK;
}

enum kn_status cuda_loss(struct kn_backend *self, const struct kn_loss *op) {
    struct kn_divergence alone = {};
    alone.base = *op;
    KN_TRY(kn_check_loss(op, self->activation_type));
    return run_head(self, &alone);
}

enum kn_status cuda_divergence(struct kn_backend *self, const struct kn_divergence *op) {
    KN_TRY(kn_check_divergence(op, self->activation_type));
    return run_head(self, op);
}

// ---- texts that go on --------------------------------------------------------------------------

__global__ void advance_rows(struct kn_advance op) {
    for (int64_t r = threadIdx.x; r < op.rows; r += LOSS_THREADS)
        kn_advance_row(&op, r);
    __syncthreads(); // all have read *step
    if (threadIdx.x == 0)
        *op.step += 1;
}

enum kn_status cuda_advance(struct kn_backend *self, const struct kn_advance *op) {
    KN_TRY(kn_check_advance(op));
    if (!op->rows)
        return KN_OK;
    advance_rows<<<1, LOSS_THREADS, 0, cuda_of(self)->ops>>>(*op);
    return cuda_launched(self, "the next tokens");
}

// ---- comparisons -------------------------------------------------------------------------------

// A block adds up a row of the panel for one candidate.
__global__ static void compare_logits(struct loss_panel p, struct rows_at_hand at,
                                      const double *base_sum, struct kn_compared candidate,
                                      int64_t rows) {
    __shared__ double shared[KN_COMPARED][WARP];
    int64_t r = at.first + blockIdx.x, start = (int64_t)blockIdx.x * p.stride;
    double log_sum_base = at.maximum[r] + log(base_sum[r]);
    double log_sum = candidate.maximum[r] + log(candidate.sum[r]);
    double sums[KN_COMPARED] = {0};
    for (int64_t c = threadIdx.x; c < p.cols; c += LOSS_THREADS) {
        double z_base = (double)logit(p, at.base[start + c], c);
        struct kn_compared_token token =
            kn_compare(z_base, exp(z_base - log_sum_base), (double)logit(p, at.own[start + c], c),
                       log_sum_base, log_sum);
#pragma unroll
        for (int i = 0; i < KN_COMPARED; i++)
            sums[i] += token.sums[i];
    }
    block_sum(sums, shared);
    if (threadIdx.x == 0)
        for (int i = 0; i < KN_COMPARED; i++)
            candidate.compared[i * rows + r] += sums[i];
}

// The base's logits of some rows, then each candidate's beside them.
static enum kn_status compare_rows(struct kn_backend *self, const struct kn_comparison *op,
                                   const struct head_scratch *scratch, int64_t first,
                                   int64_t count) {
    const struct kn_loss *loss = &op->base;
    struct loss_panel panel = {loss->bias,     logit_stride(loss), loss->w.rows,
                               loss->first_id, loss->scale,        loss->softcap};
    struct rows_at_hand at = {scratch->own, scratch->base, loss->maximum, NULL, NULL, first};
    struct kn_matrix x = rows_of(&loss->x, first, count);
    struct kn_matrix logits = {scratch->base, KN_F32, count, loss->w.rows, panel.stride};
    KN_TRY(multiply_head(self, &logits, &x, &scratch->w));
    logits.data = scratch->own;
    for (int64_t i = 0; i < op->candidates; i++) {
        x = rows_of(&op->candidate[i].x, first, count);
        KN_TRY(multiply_head(self, &logits, &x, &scratch->w));
        compare_logits<<<(unsigned)count, LOSS_THREADS, 0, cuda_of(self)->ops>>>(
            panel, at, loss->sum, op->candidate[i], loss->x.rows);
        KN_TRY(cuda_launched(self, "comparing heads"));
    }
    return KN_OK;
}

enum kn_status cuda_comparison(struct kn_backend *self, const struct kn_comparison *op) {
    const struct kn_loss *loss = &op->base;
    struct kn_divergence shape = {};
    struct head_scratch scratch;
    KN_TRY(kn_check_comparison(op, self->activation_type));
    if (!loss->x.rows || !loss->w.rows || !op->candidates)
        return KN_OK;
    shape.base = *loss;
    shape.candidates = op->candidates;
    KN_TRY(reserve(self, &shape, &scratch));
    int64_t step = rows_at_once(loss);
    for (int64_t first = 0; first < loss->x.rows; first += step) {
        int64_t left = loss->x.rows - first;
        KN_TRY(compare_rows(self, op, &scratch, first, left < step ? left : step));
    }
    return KN_OK;
}
