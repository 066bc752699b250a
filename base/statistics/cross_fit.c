// SPDX-License-Identifier: Apache-2.0
#include "statistics/cross_fit.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "distribution.h"
#include "statistics/correlation.h"
#include "statistics/order.h"
#include "statistics/random.h"

// The units and rows of both sides, and room for means of some of the rows.
struct fit {
    const double *side[2]; // x, y: [units, rows]
    int64_t units, rows, count;
    bool *in;          // [rows] the rows that a mean is over
    double *mean[2];   // [units]
    int64_t *order[2]; // [units]
    int64_t *shuffled; // [rows]
};

static enum tr_status fit_make(struct fit *fit, const double *x, const double *y, int64_t units,
                               int64_t rows, int64_t count, struct tr_err *err) {
    *fit = (struct fit){.side = {x, y}, .units = units, .rows = rows, .count = count};
    if (count < 1 || count > units)
        return tr_fail(err, TR_EUSAGE, "%lld of %lld units cannot be the lowest", (long long)count,
                       (long long)units);
    TR_TRY(TR_NEW(&fit->in, rows, "rows", err));
    TR_TRY(TR_NEW(&fit->shuffled, rows, "rows", err));
    for (int side = 0; side < 2; side++) {
        TR_TRY(TR_NEW(&fit->mean[side], units, "means", err));
        TR_TRY(TR_NEW(&fit->order[side], units, "orders", err));
    }
    return TR_OK;
}

static void fit_free(struct fit *fit) {
    free(fit->in);
    free(fit->shuffled);
    for (int side = 0; side < 2; side++) {
        free(fit->mean[side]);
        free(fit->order[side]);
    }
}

// The means of one side over the rows that are in, and their order.
static void choose(struct fit *fit, int side) {
    for (int64_t u = 0; u < fit->units; u++) {
        const double *value = fit->side[side] + u * fit->rows;
        double sum = 0.0, count = 0.0;
        for (int64_t s = 0; s < fit->rows; s++)
            if (fit->in[s] && isfinite(value[s])) {
                sum += value[s];
                count += 1.0;
            }
        fit->mean[side][u] = sum / count;
    }
    an_order(fit->order[side], fit->mean[side], fit->units);
}

// ---- regret ----------------------------------------------------------------------------------

static int64_t fold_of(int64_t row, int64_t rows) {
    return row * AN_FOLDS / rows;
}

// Whether a unit is among the lowest of a side.
static bool is_chosen(const struct fit *fit, int side, int64_t unit) {
    for (int64_t i = 0; i < fit->count; i++)
        if (fit->order[side][i] == unit)
            return true;
    return false;
}

// What x's choice costs more than y's in a row. What both chose is left out, so that the same sets
// give 0.
static double pay(const struct fit *fit, int64_t row) {
    double sum = 0.0;
    for (int64_t u = 0; u < fit->units; u++) {
        int times = is_chosen(fit, 0, u) - is_chosen(fit, 1, u);
        if (times != 0)
            sum += times * fit->side[1][u * fit->rows + row];
    }
    return sum;
}

static void pay_fold(double *paid, struct fit *fit, int64_t fold) {
    for (int64_t s = 0; s < fit->rows; s++)
        fit->in[s] = fold_of(s, fit->rows) != fold;
    choose(fit, 0);
    choose(fit, 1);
    for (int64_t s = 0; s < fit->rows; s++)
        if (!fit->in[s])
            paid[s] = pay(fit, s);
}

// Student's interval of the mean of the finite ones of paid[rows].
static struct an_regret interval_of(const double *paid, int64_t rows, double level) {
    double sum = 0.0, squares = 0.0, n = 0.0;
    for (int64_t s = 0; s < rows; s++)
        if (isfinite(paid[s])) {
            sum += paid[s];
            n += 1.0;
        }
    if (n < 2.0)
        return (struct an_regret){NAN, NAN, NAN};
    for (int64_t s = 0; s < rows; s++)
        if (isfinite(paid[s]))
            squares += (paid[s] - sum / n) * (paid[s] - sum / n);
    double reach = an_t_quantile(0.5 * (1.0 + level), n - 1.0) * sqrt(squares / (n * (n - 1.0)));
    return (struct an_regret){sum / n, sum / n - reach, sum / n + reach};
}

enum tr_status an_cross_fit(struct an_regret *regret, const double *x, const double *y,
                            int64_t units, int64_t rows, int64_t count, double level,
                            struct tr_err *err) {
    struct fit fit;
    double *paid = NULL;
    enum tr_status status;
    TR_GO(status, fit_make(&fit, x, y, units, rows, count, err), out);
    TR_GO(status, TR_NEW(&paid, rows, "what is paid", err), out);
    for (int64_t s = 0; s < rows; s++)
        paid[s] = NAN;
    for (int64_t fold = 0; fold < AN_FOLDS && rows > 1; fold++)
        pay_fold(paid, &fit, fold);
    *regret = interval_of(paid, rows, level);
out:
    fit_free(&fit);
    free(paid);
    return status;
}

// ---- halves ----------------------------------------------------------------------------------

static double found(const struct fit *fit) {
    int64_t common = 0;
    for (int64_t i = 0; i < fit->count; i++)
        for (int64_t j = 0; j < fit->count; j++)
            common += fit->order[0][i] == fit->order[1][j];
    return (double)common / (double)fit->count;
}

// Takes in the first (which = 0) or the second half of the shuffled rows.
static void take_half(struct fit *fit, int which) {
    int64_t half = fit->rows / 2;
    for (int64_t i = 0; i < fit->rows; i++)
        fit->in[fit->shuffled[i]] = i / half == which;
}

// Adds what one split gives, `first` being the half on which x is taken.
static enum tr_status add_split(struct an_halves *sum, struct fit *fit, int first,
                                struct tr_err *err) {
    double spearman;
    take_half(fit, first);
    choose(fit, 0);
    take_half(fit, 1 - first);
    choose(fit, 1);
    TR_TRY(an_spearman(&spearman, fit->mean[0], fit->mean[1], fit->units, err));
    sum->spearman += spearman;
    sum->found += found(fit);
    return TR_OK;
}

enum tr_status an_halves(struct an_halves *halves, const double *x, const double *y, int64_t units,
                         int64_t rows, int64_t count, int64_t splits, uint64_t seed,
                         struct tr_err *err) {
    struct fit fit;
    struct an_random random;
    struct an_halves sum = {0.0, 0.0};
    enum tr_status status = fit_make(&fit, x, y, units, rows, count, err);
    *halves = (struct an_halves){NAN, NAN};
    an_random_seed(&random, seed);
    for (int64_t i = 0; i < rows && status == TR_OK; i++)
        fit.shuffled[i] = i;
    for (int64_t split = 0; split < splits && rows > 1 && status == TR_OK; split++) {
        an_random_shuffle(&random, fit.shuffled, rows);
        for (int first = 0; first < 2 && status == TR_OK; first++)
            status = add_split(&sum, &fit, first, err);
    }
    if (rows > 1)
        *halves = (struct an_halves){0.5 * sum.spearman / (double)splits,
                                     0.5 * sum.found / (double)splits};
    fit_free(&fit);
    return status;
}

double an_stepped_up(double half) {
    return half < 0.0 ? 0.0 : 2.0 * half / (1.0 + half);
}
