// SPDX-License-Identifier: Apache-2.0
// Rows choose their experts side by side; sorting them is little work.
#include "check.h"
#include "cpu.h"
#include "reference.h"

enum { EXPONENTIAL_WORK = 16 }; // of a logit, beside an element of a row op

enum kn_status cpu_route(struct kn_backend *self, const struct kn_route *op) {
    KN_TRY(kn_check_route(op));
    int threads = cpu_threads(self, op->logits.rows * op->logits.cols * EXPONENTIAL_WORK);
#pragma omp parallel for num_threads(threads)
    for (int64_t r = 0; r < op->logits.rows; r++)
        kn_route_row(op, r);
    kn_route_sort(op);
    return KN_OK;
}
