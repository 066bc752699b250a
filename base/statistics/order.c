// SPDX-License-Identifier: Apache-2.0
#include "statistics/order.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/sort.h"

static int compare(const void *a, const void *b, void *context) {
    const double *values = context;
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    if (values[i] != values[j])
        return values[i] < values[j] ? -1 : 1;
    return i < j ? -1 : i > j;
}

int64_t an_order(int64_t *order, const double *values, int64_t count) {
    int64_t finite = 0, absent = 0;
    for (int64_t i = 0; i < count; i++)
        finite += isfinite(values[i]) != 0;
    for (int64_t i = 0, place = 0; i < count; i++)
        if (isfinite(values[i]))
            order[place++] = i;
        else
            order[finite + absent++] = i;
    tr_sort(order, (size_t)finite, sizeof *order, compare, (void *)values);
    return finite;
}

enum tr_status an_midranks(double *ranks, const double *values, int64_t count, struct tr_err *err) {
    int64_t *order;
    TR_TRY(TR_NEW(&order, count, "ranks", err));
    int64_t finite = an_order(order, values, count);
    for (int64_t i = finite; i < count; i++)
        ranks[order[i]] = NAN;
    for (int64_t first = 0, next; first < finite; first = next) {
        for (next = first + 1; next < finite && values[order[next]] == values[order[first]];)
            next++;
        for (int64_t i = first; i < next; i++)
            ranks[order[i]] = 0.5 * (double)(first + next + 1);
    }
    free(order);
    return TR_OK;
}
