// SPDX-License-Identifier: Apache-2.0
// Products of heads with a matrix each, as steps of decoding over latents have them: a head's
// matrix comes from memory once for all rows. A task is a head, so the bits do not depend on the
// number of threads.
#include <string.h>

#include "check.h"
#include "cpu.h"

// Row `row` of w in f32: in `wide`, unless it is so already.
static const float *weights_of(const struct kn_matrix *w, int64_t row, float *wide) {
    if (w->type == KN_F32)
        return (const float *)w->data + row * w->stride;
    cpu_widen(wide, w->data, w->type, row * w->stride, w->cols);
    return wide;
}

static void multiply_head(const struct kn_head_product *op, int64_t head, float *wide) {
    int64_t rows = op->y.x.rows, first = op->first_row + head * op->row_pitch;
    for (int64_t r = 0; r < rows && !op->transposed; r++)
        memset(cpu_head(&op->y, r, head), 0, (size_t)op->y.dim * sizeof(float));
    for (int64_t i = 0; i < (op->transposed ? op->y.dim : op->x.dim); i++) {
        const float *w = weights_of(&op->w, first + i, wide);
        for (int64_t r = 0; r < rows; r++) {
            float *y = cpu_head(&op->y, r, head);
            const float *x = cpu_head(&op->x, r, head);
            if (op->transposed)
                y[i] = cpu_dot(x, w, op->x.dim);
            else
                cpu_add_weighted(y, w, x[i], op->y.dim);
        }
    }
}

enum kn_status cpu_head_product(struct kn_backend *self, const struct kn_head_product *op) {
    struct cpu_scratch scratch;
    KN_TRY(kn_check_head_product(op, KN_F32));
    KN_TRY(cpu_reserve(self, &scratch, 0, (size_t)op->w.cols * sizeof(float)));
    int64_t work = op->y.x.rows * op->y.count * op->y.dim * op->x.dim / CPU_MULTIPLICATIONS;
    int threads = op->y.count > 1 ? cpu_threads(self, work) : 1;
#pragma omp parallel for num_threads(threads)
    for (int64_t h = 0; h < op->y.count; h++)
        multiply_head(op, h, cpu_thread_scratch(&scratch));
    return KN_OK;
}
