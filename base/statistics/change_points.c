// SPDX-License-Identifier: Apache-2.0
#include "statistics/change_points.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "statistics/quantile.h"

// The finite values and the search over them.
struct search {
    int64_t count;
    int64_t *index;  // [count] their places in the series
    double *sums;    // [count + 1] of values less their mean
    double *squares; // [count + 1]
    double *best;    // [count + 1] least cost of the first so many
    int64_t *from;   // [count + 1] where the last segment of that begins
    int64_t *starts; // [count + 1] beginnings that may still be best
};

static enum tr_status search_make(struct search *search, const double *y, int64_t count,
                                  struct tr_err *err) {
    double mean = 0.0;
    TR_TRY(TR_NEW(&search->index, count, "change points", err));
    TR_TRY(TR_NEW(&search->sums, count + 1, "change points", err));
    TR_TRY(TR_NEW(&search->squares, count + 1, "change points", err));
    TR_TRY(TR_NEW(&search->best, count + 1, "change points", err));
    TR_TRY(TR_NEW(&search->from, count + 1, "change points", err));
    TR_TRY(TR_NEW(&search->starts, count + 1, "change points", err));
    for (int64_t i = 0; i < count; i++)
        if (isfinite(y[i])) {
            search->index[search->count++] = i;
            mean += y[i];
        }
    mean /= (double)search->count;
    for (int64_t i = 0; i < search->count; i++) {
        double value = y[search->index[i]] - mean;
        search->sums[i + 1] = search->sums[i] + value;
        search->squares[i + 1] = search->squares[i] + value * value;
    }
    return TR_OK;
}

static void search_free(struct search *search) {
    free(search->index);
    free(search->sums);
    free(search->squares);
    free(search->best);
    free(search->from);
    free(search->starts);
}

// Squares about the mean of values [start, end).
static double segment_cost(const struct search *search, int64_t start, int64_t end) {
    double sum = search->sums[end] - search->sums[start];
    double cost = search->squares[end] - search->squares[start] - sum * sum / (double)(end - start);
    return fmax(cost, 0.0);
}

// best[end] over the last segments that begin at one of starts[0, count).
static void extend(struct search *search, int64_t end, int64_t count, double penalty) {
    search->best[end] = INFINITY;
    for (int64_t i = 0; i < count; i++) {
        int64_t start = search->starts[i];
        double cost = search->best[start] + segment_cost(search, start, end) + penalty;
        if (cost < search->best[end]) {
            search->best[end] = cost;
            search->from[end] = start;
        }
    }
}

// Drops the starts that a segment beginning at `start` is never worse than (PELT's inequality with
// K = 0), then adds that one.
static int64_t add_start(struct search *search, int64_t start, int64_t count) {
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t earlier = search->starts[i];
        if (search->best[earlier] + segment_cost(search, earlier, start) <= search->best[start])
            search->starts[kept++] = earlier;
    }
    search->starts[kept++] = start;
    return kept;
}

// Every segment pays the penalty, and the first has it back beforehand.
static void run(struct search *search, double penalty, int64_t shortest) {
    int64_t count = 1; // starts: at first only 0
    search->best[0] = -penalty;
    for (int64_t end = shortest; end <= search->count; end++) {
        if (end >= 2 * shortest)
            count = add_start(search, end - shortest, count);
        extend(search, end, count, penalty);
    }
}

static enum tr_status trace_back(struct an_change_points *changes, const struct search *search,
                                 struct tr_err *err) {
    for (int64_t end = search->count; end > 0 && search->from[end] > 0; end = search->from[end])
        changes->count++;
    TR_TRY(TR_NEW(&changes->at, changes->count, "change points", err));
    int64_t i = changes->count;
    for (int64_t end = search->count; i > 0; end = search->from[end])
        changes->at[--i] = search->index[search->from[end]];
    return TR_OK;
}

enum tr_status an_change_points(struct an_change_points *changes, const double *y, int64_t count,
                                double penalty, int64_t shortest, struct tr_err *err) {
    struct an_change_points new = {.penalty = penalty};
    struct search search = {0};
    enum tr_status status;
    if (shortest < 1 || isnan(penalty))
        return tr_fail(err, TR_EUSAGE, "no change points with segments of %lld and penalty %g",
                       (long long)shortest, penalty);
    if (penalty < 0.0)
        TR_TRY(an_change_penalty(&new.penalty, y, count, err));
    TR_GO(status, search_make(&search, y, count, err), out);
    if (search.count >= shortest) {
        run(&search, new.penalty, shortest);
        TR_GO(status, trace_back(&new, &search, err), out);
        new.cost = search.best[search.count];
    }
    *changes = new;
out:
    search_free(&search);
    return status;
}

void an_change_points_free(struct an_change_points *changes) {
    free(changes->at);
}

enum tr_status an_change_penalty(double *penalty, const double *y, int64_t count,
                                 struct tr_err *err) {
    double *steps;
    TR_TRY(TR_NEW(&steps, count, "differences", err));
    for (int64_t i = 0; i < count; i++)
        steps[i] = y[i];
    int64_t finite = an_keep_finite(steps, count), differences = finite > 1 ? finite - 1 : 0;
    for (int64_t i = 0; i < differences; i++)
        steps[i] = steps[i + 1] - steps[i];
    double middle = an_median(steps, differences);
    for (int64_t i = 0; i < differences; i++)
        steps[i] = fabs(steps[i] - middle);
    double sigma = differences ? 1.4826 * an_median(steps, differences) / M_SQRT2 : 0.0;
    *penalty = 2.0 * sigma * sigma * log((double)(finite ? finite : 1));
    free(steps);
    return TR_OK;
}
