// SPDX-License-Identifier: Apache-2.0
// Convolutions along sequences, and selective state spaces as recurrences.
#include <math.h>
#include <string.h>

#include "check.h"
#include "cpu.h"

// ---- convolution -------------------------------------------------------------------------------

// y[c] += weight[c * taps] * x[c].
KN_CLONES static void add_tap(float *y, const float *x, const float *weight, int64_t taps,
                              int64_t cols) {
#pragma omp simd
    for (int64_t c = 0; c < cols; c++)
        y[c] += weight[c * taps] * x[c];
}

enum kn_status cpu_convolution(struct kn_backend *self, const struct kn_convolution *op) {
    KN_TRY(kn_check_convolution(op, KN_F32));
    int threads = cpu_row_threads(self, &op->y);
#pragma omp parallel for num_threads(threads)
    for (int64_t r = 0; r < op->y.rows; r++) {
        float *y = cpu_row(&op->y, r);
        int64_t first = op->taps - 1 - r % op->length;
        memset(y, 0, (size_t)op->y.cols * sizeof *y);
        for (int64_t t = first > 0 ? first : 0; t < op->taps; t++)
            add_tap(y, cpu_row(&op->x, r - op->taps + 1 + t), op->weight + t, op->taps, op->y.cols);
        cpu_activate(y, op->bias, op->y.cols, op->activation, NULL);
    }
    return KN_OK;
}

// ---- scan --------------------------------------------------------------------------------------

// What one position does to one head's state [dim, states].
struct position {
    const float *b, *c;
    float step, decay, skip;
};

KN_CLONES static void advance(const struct position *at, float *y, const float *x, int64_t dim,
                              float *state, int64_t states) {
    for (int64_t i = 0; i < dim; i++) {
        float *row = state + i * states, into = at->step * x[i], sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t n = 0; n < states; n++) {
            row[n] = at->decay * row[n] + into * at->b[n];
            sum += row[n] * at->c[n];
        }
        y[i] = sum + at->skip * x[i];
    }
}

static float step_of(const struct kn_scan *op, int64_t row, int64_t head) {
    float dt = *cpu_head(&op->dt, row, head) + op->dt_bias[head];
    float step = fmaxf(dt, 0) + log1pf(expf(-fabsf(dt)));
    step = step < op->low ? op->low : step; // NaN stays NaN
    return step > op->high ? op->high : step;
}

static void scan(const struct kn_scan *op, int64_t sequence, int64_t head, float *state) {
    int64_t group = head / (op->x.count / op->b.count);
    float rate = -expf(op->a_log[head]);
    memset(state, 0, (size_t)(op->x.dim * op->b.dim) * sizeof *state);
    for (int64_t r = sequence * op->length; r < (sequence + 1) * op->length; r++) {
        struct position at = {.b = cpu_head(&op->b, r, group),
                              .c = cpu_head(&op->c, r, group),
                              .step = step_of(op, r, head),
                              .skip = op->d[head]};
        at.decay = expf(rate * at.step);
        advance(&at, cpu_head(&op->y, r, head), cpu_head(&op->x, r, head), op->x.dim, state,
                op->b.dim);
    }
}

enum kn_status cpu_scan(struct kn_backend *self, const struct kn_scan *op) {
    struct cpu_scratch scratch;
    KN_TRY(kn_check_scan(op, KN_F32));
    KN_TRY(cpu_reserve(self, &scratch, 0, (size_t)(op->x.dim * op->b.dim) * sizeof(float)));
    int64_t tasks = op->x.x.rows / op->length * op->x.count;
    int64_t work = op->x.x.rows * op->x.count * op->x.dim * op->b.dim;
    int threads = tasks > 1 ? cpu_threads(self, work) : 1;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t task = 0; task < tasks; task++)
        scan(op, task / op->x.count, task % op->x.count, cpu_thread_scratch(&scratch));
    return KN_OK;
}
