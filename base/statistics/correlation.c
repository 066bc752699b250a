// SPDX-License-Identifier: Apache-2.0
#include "statistics/correlation.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "statistics/order.h"

// x and y without the pairs of which one is not finite; x is freed, y lies in the same memory.
static enum tr_status copy_pairs(double **x_p, double **y_p, int64_t *kept, const double *x,
                                 const double *y, int64_t count, struct tr_err *err) {
    double *copy;
    TR_TRY(TR_NEW(&copy, 2 * count, "pairs", err));
    *x_p = copy;
    *y_p = copy + count;
    *kept = 0;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(x[i]) && isfinite(y[i])) {
            copy[*kept] = x[i];
            copy[count + (*kept)++] = y[i];
        }
    return TR_OK;
}

// Of midranks, whose mean is known.
static double rank_correlation(const double *x, const double *y, int64_t count) {
    double mean = 0.5 * (double)(count + 1), xx = 0.0, xy = 0.0, yy = 0.0;
    for (int64_t i = 0; i < count; i++) {
        xx += (x[i] - mean) * (x[i] - mean);
        xy += (x[i] - mean) * (y[i] - mean);
        yy += (y[i] - mean) * (y[i] - mean);
    }
    return xx > 0.0 && yy > 0.0 ? xy / sqrt(xx * yy) : NAN;
}

enum tr_status an_spearman(double *rho, const double *x, const double *y, int64_t count,
                           struct tr_err *err) {
    double *pairs = NULL, *second, *ranks = NULL;
    int64_t kept;
    enum tr_status status;
    TR_GO(status, copy_pairs(&pairs, &second, &kept, x, y, count, err), out);
    TR_GO(status, TR_NEW(&ranks, 2 * count, "ranks", err), out);
    TR_GO(status, an_midranks(ranks, pairs, kept, err), out);
    TR_GO(status, an_midranks(ranks + count, second, kept, err), out);
    *rho = rank_correlation(ranks, ranks + count, kept);
out:
    free(ranks);
    free(pairs);
    return status;
}

static int sign(double a, double b) {
    return (a > b) - (a < b);
}

enum tr_status an_kendall_tau_b(double *tau, const double *x, const double *y, int64_t count,
                                struct tr_err *err) {
    double *pairs, *second;
    int64_t kept, score = 0, untied_x = 0, untied_y = 0;
    TR_TRY(copy_pairs(&pairs, &second, &kept, x, y, count, err));
    for (int64_t i = 0; i < kept; i++)
        for (int64_t j = 0; j < i; j++) {
            int of_x = sign(pairs[i], pairs[j]), of_y = sign(second[i], second[j]);
            score += of_x * of_y;
            untied_x += of_x != 0;
            untied_y += of_y != 0;
        }
    free(pairs);
    *tau = untied_x && untied_y ? (double)score / sqrt((double)untied_x * (double)untied_y) : NAN;
    return TR_OK;
}
