// SPDX-License-Identifier: Apache-2.0
#include "statistics/onset.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "statistics/order.h"

enum tr_status an_mark_lowest(bool *lowest, const double *values, int64_t checkpoints,
                              int64_t units, int64_t k, struct tr_err *err) {
    int64_t *order;
    if (k < 1 || k > units)
        return tr_fail(err, TR_EUSAGE, "%lld of %lld units cannot be the lowest", (long long)k,
                       (long long)units);
    TR_TRY(TR_NEW(&order, units, "an order", err));
    for (int64_t c = 0; c < checkpoints; c++) {
        int64_t finite = an_order(order, values + c * units, units);
        for (int64_t place = 0; place < units; place++)
            lowest[c * units + order[place]] = place < k && place < finite;
    }
    free(order);
    return TR_OK;
}

enum tr_status an_overlap_with_last(double *overlap, const double *values, int64_t checkpoints,
                                    int64_t units, int64_t k, struct tr_err *err) {
    bool *lowest;
    TR_TRY(TR_NEW(&lowest, checkpoints * units, "the lowest units", err));
    enum tr_status status = an_mark_lowest(lowest, values, checkpoints, units, k, err);
    const bool *last = lowest + (checkpoints - 1) * units;
    for (int64_t c = 0; c < checkpoints && status == TR_OK; c++) {
        int64_t common = 0;
        for (int64_t u = 0; u < units; u++)
            common += lowest[c * units + u] && last[u];
        overlap[c] = (double)common / (double)k;
    }
    free(lowest);
    return status;
}
