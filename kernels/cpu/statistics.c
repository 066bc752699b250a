// SPDX-License-Identifier: Apache-2.0
// The sufficient statistics of a residual add: three dot products a token, in f64.
#include "cpu.h"

#include "check.h"

struct statistics {
    double xx, xd, dd;
};

KN_CLONES static struct statistics row_statistics(const float *x, const float *x_addend,
                                                  const float *delta, const float *delta_addend,
                                                  int64_t count) {
    double xx = 0, xd = 0, dd = 0;
#pragma omp simd reduction(+ : xx, xd, dd)
    for (int64_t i = 0; i < count; i++) {
        double v = (double)(x_addend ? x[i] + x_addend[i] : x[i]);
        double e = (double)(delta_addend ? delta[i] + delta_addend[i] : delta[i]);
        xx += v * v;
        xd += v * e;
        dd += e * e;
    }
    return (struct statistics){xx, xd, dd};
}

enum kn_status cpu_statistics(struct kn_backend *self, const struct kn_statistics *op) {
    enum kn_status status = kn_check_statistics(op);
    if (status != KN_OK) {
        return status;
    }
#pragma omp parallel for num_threads(self->threads)
    for (int64_t r = 0; r < op->x.rows; r++) {
        struct statistics row =
            row_statistics(cpu_row(&op->x, r), cpu_row(&op->x_addend, r), cpu_row(&op->delta, r),
                           cpu_row(&op->delta_addend, r), op->x.cols);
        op->xx[r] = row.xx;
        op->xd[r] = row.xd;
        op->dd[r] = row.dd;
    }
    return KN_OK;
}
