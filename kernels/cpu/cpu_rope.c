// SPDX-License-Identifier: Apache-2.0
// Rotary position embedding.
#include "check.h"
#include "cpu.h"

KN_CLONES static void turn_half_split(float *head, const float *cos, const float *sin,
                                      int64_t pairs) {
    float *other = head + pairs;
#pragma omp simd
    for (int64_t i = 0; i < pairs; i++) {
        float a = head[i], b = other[i];
        head[i] = a * cos[i] - b * sin[i];
        other[i] = b * cos[i] + a * sin[i];
    }
}

KN_CLONES static void turn_interleaved(float *head, const float *cos, const float *sin,
                                       int64_t pairs) {
#pragma omp simd
    for (int64_t i = 0; i < pairs; i++) {
        float a = head[2 * i], b = head[2 * i + 1];
        head[2 * i] = a * cos[i] - b * sin[i];
        head[2 * i + 1] = b * cos[i] + a * sin[i];
    }
}

enum kn_status cpu_rope(struct kn_backend *self, const struct kn_rope *op) {
    KN_TRY(kn_check_rope(op, KN_F32));
    const struct kn_heads *heads = &op->heads;
    int threads = cpu_threads(self, heads->x.rows * heads->count * 2 * op->pairs);
#pragma omp parallel for num_threads(threads)
    for (int64_t r = 0; r < heads->x.rows; r++) {
        int64_t position =
            op->positions ? op->positions[r] : op->sequences.first + r % op->sequences.queries;
        int64_t angle = position * op->pairs;
        float *first = cpu_head(heads, r, 0);
        for (int64_t h = 0; h < heads->count; h++) {
            float *head = first + h * heads->pitch;
            if (op->kind == KN_ROPE_HALF_SPLIT)
                turn_half_split(head, op->cos + angle, op->sin + angle, op->pairs);
            else
                turn_interleaved(head, op->cos + angle, op->sin + angle, op->pairs);
        }
    }
    return KN_OK;
}
