// SPDX-License-Identifier: Apache-2.0
#include "statistics/sure_order.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "distribution.h"
#include "statistics/correlation.h"

// ---- pairs -----------------------------------------------------------------------------------

// The mean of a - b over the rows that both have, and its standard error.
struct difference {
    double mean, error, rows;
};

static struct difference compare(const double *a, const double *b, int64_t rows) {
    struct difference d = {0.0, 0.0, 0.0};
    for (int64_t s = 0; s < rows; s++)
        if (isfinite(a[s] - b[s])) {
            d.mean += a[s] - b[s];
            d.rows += 1.0;
        }
    d.mean /= d.rows;
    for (int64_t s = 0; s < rows; s++)
        if (isfinite(a[s] - b[s]))
            d.error += (a[s] - b[s] - d.mean) * (a[s] - b[s] - d.mean);
    d.error = sqrt(d.error / (d.rows * (d.rows - 1.0)));
    return d;
}

void an_sure_order(int8_t *sign, const double *values, int64_t units, int64_t rows, double level) {
    double each = 1.0 - 0.5 * (1.0 - level) / sqrt((double)units), t = NAN, freedom = NAN;
    for (int64_t i = 0; i < units; i++) {
        sign[i * units + i] = 0;
        for (int64_t j = 0; j < i; j++) {
            struct difference d = compare(values + i * rows, values + j * rows, rows);
            if (d.rows >= 2.0 && d.rows - 1.0 != freedom) {
                freedom = d.rows - 1.0; // nearly always that of the pair before
                t = an_t_quantile(each, freedom);
            }
            bool sure = d.rows >= 2.0 && fabs(d.mean) > t * d.error;
            sign[i * units + j] = (int8_t)(!sure ? 0 : d.mean > 0.0 ? 1 : -1);
            sign[j * units + i] = (int8_t)-sign[i * units + j];
        }
    }
}

void an_sure_shift(int64_t *shift, const int8_t *s, const int8_t *t, int64_t units) {
    for (int64_t i = 0; i < units; i++) {
        shift[i] = 0;
        for (int64_t j = 0; j < units; j++)
            shift[i] += s[i * units + j] == -t[i * units + j] ? t[i * units + j] : 0;
    }
}

// How many of the others are surely above (way = -1) or below (way = 1) unit i.
static int64_t count_sure(const int8_t *sign, int64_t units, int64_t i, int way) {
    int64_t count = 0;
    for (int64_t j = 0; j < units; j++)
        count += sign[i * units + j] == way;
    return count;
}

struct an_sure_share an_sure_share(const int8_t *s, const int8_t *t, int64_t units, int64_t count) {
    int64_t sure = 0, possible = 0, above = units - count;
    for (int64_t i = 0; i < units; i++) {
        sure += count_sure(s, units, i, -1) >= above && count_sure(t, units, i, -1) >= above;
        possible += count_sure(s, units, i, 1) < count && count_sure(t, units, i, 1) < count;
    }
    return (struct an_sure_share){(double)sure / (double)count,
                                  fmin((double)possible / (double)count, 1.0)};
}

// ---- agreement -------------------------------------------------------------------------------

// What one order leaves open: ranks less their mean, and each unit's open pairs.
static void rank(double *ranks, double *open, const int8_t *sign, int64_t units) {
    for (int64_t i = 0; i < units; i++) {
        ranks[i] = open[i] = 0.0;
        for (int64_t j = 0; j < units; j++) {
            ranks[i] += 0.5 * sign[i * units + j];
            open[i] += i != j && sign[i * units + j] == 0;
        }
    }
}

static double clip(double value) {
    return fmin(fmax(value, -1.0), 1.0);
}

static void limit_tau(struct an_rank_agreement *agreement, const int8_t *s, const int8_t *t,
                      int64_t units) {
    double pairs = 0.5 * (double)units * (double)(units - 1), sure = 0.0, open = 0.0;
    for (int64_t i = 0; i < units; i++)
        for (int64_t j = 0; j < i; j++) {
            int product = s[i * units + j] * t[i * units + j];
            sure += product;
            open += product == 0;
        }
    agreement->tau_low = clip((sure - open) / pairs);
    agreement->tau_high = clip((sure + open) / pairs);
}

// `room` is for 4 values of each unit.
static void limit_spearman(struct an_rank_agreement *agreement, const int8_t *s, const int8_t *t,
                           int64_t units, double *room) {
    double *a = room, *b = a + units, *u = b + units, *v = u + units, n = (double)units;
    double sure = 0.0, reach = 0.0, scale = 12.0 / (n * n * n - n);
    rank(a, u, s, units);
    rank(b, v, t, units);
    for (int64_t i = 0; i < units; i++) {
        sure += a[i] * b[i];
        reach += 0.25 * u[i] * v[i];
        for (int64_t j = 0; j < i; j++) {
            reach += s[i * units + j] == 0 ? 0.5 * fabs(b[i] - b[j]) : 0.0;
            reach += t[i * units + j] == 0 ? 0.5 * fabs(a[i] - a[j]) : 0.0;
        }
    }
    agreement->spearman_low = clip(scale * (sure - reach));
    agreement->spearman_high = clip(scale * (sure + reach));
}

enum tr_status an_rank_agreement(struct an_rank_agreement *agreement, const double *x,
                                 const double *y, const int8_t *s, const int8_t *t, int64_t units,
                                 struct tr_err *err) {
    *agreement = (struct an_rank_agreement){NAN, NAN, NAN, NAN, NAN, NAN};
    if (units < 2)
        return TR_OK;
    double *room;
    TR_TRY(TR_NEW(&room, 4 * units, "ranks", err));
    enum tr_status status = an_spearman(&agreement->spearman, x, y, units, err);
    if (status == TR_OK)
        status = an_kendall_tau_b(&agreement->tau, x, y, units, err);
    if (status == TR_OK) {
        limit_tau(agreement, s, t, units);
        limit_spearman(agreement, s, t, units, room);
    }
    free(room);
    return status;
}
