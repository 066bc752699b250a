// SPDX-License-Identifier: Apache-2.0
#include "cpu.h"

#include "check.h"

enum kn_status cpu_embed(struct kn_backend *self, const struct kn_embed *op) {
    enum kn_status status = kn_check_embed(op);
    if (status != KN_OK) {
        return status;
    }
#pragma omp parallel for num_threads(self->threads)
    for (int64_t r = 0; r < op->y.rows; r++) {
        int64_t id = op->ids[r] - op->first_id;
        if (id >= 0 && id < op->table.rows) {
            cpu_widen(cpu_row(&op->y, r), op->table.data, op->table.type, id * op->table.stride,
                      op->table.cols);
        }
    }
    return KN_OK;
}
