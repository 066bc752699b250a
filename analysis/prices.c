// SPDX-License-Identifier: Apache-2.0
#include "analysis/prices.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "budget_front.h"

enum { MOST_STATES = 1 << 20 }; // nobody asked for it, so that it may take no long time

static bool saves_something(const struct an_budget_front *front) {
    return front->front.points && an_budget_front_share(front, front->front.points - 1) < 1;
}

static enum tr_status copy(struct an_price *price, const struct an_budget_front *front,
                           struct tr_err *err) {
    int64_t shown = an_budget_front_shown(front);
    TR_TRY(TR_NEW(&price->share, shown, "prices", err));
    TR_TRY(TR_NEW(&price->sum, shown, "prices", err));
    for (; price->points < shown; price->points++) {
        int64_t at = an_budget_front_at(front, price->points);
        price->share[price->points] = an_budget_front_share(front, at);
        price->sum[price->points] = an_budget_front_sum(front, at);
    }
    return TR_OK;
}

static enum tr_status add(struct an_result *result, const struct an_budget_question *question,
                          struct tr_err *err) {
    struct an_budget_front front;
    enum tr_status status = an_budget_front_make(&front, question, err);
    if (status == TR_EUNSUPPORTED)
        return TR_OK;
    TR_TRY(status);
    struct an_price *price = &result->price[result->prices];
    *price = (struct an_price){.group = question->group->group,
                               .resource = question->resource,
                               .context = question->context,
                               .whole = front.whole};
    if (saves_something(&front)) {
        result->prices++;
        status = copy(price, &front, err);
    }
    an_budget_front_free(&front);
    return status;
}

static enum tr_status add_all(struct an_result *result, const struct an_sizes *sizes,
                              struct tr_err *err) {
    int64_t context = result->settings.budget.context;
    TR_TRY(TR_NEW(&result->price, AN_GROUPS * AN_RESOURCES, "prices", err));
    for (int group = 0; group < AN_GROUPS; group++)
        for (int resource = 0; resource < AN_RESOURCES && result->group[group]; resource++) {
            struct an_budget_question question = {.result = result,
                                                  .group = result->group[group],
                                                  .sizes = sizes,
                                                  .resource = (enum an_resource)resource,
                                                  .context = context > 0 ? context
                                                                         : result->series.seq_len,
                                                  .most = MOST_STATES};
            if (resource != AN_BYTES && resource != AN_MILLISECONDS)
                TR_TRY(add(result, &question, err));
        }
    return TR_OK;
}

enum tr_status an_prices_make(struct an_result *result, const struct tr_trace *trace,
                              struct tr_err *err) {
    struct an_sizes sizes;
    TR_TRY(an_sizes_read(&sizes, tr_trace_info(trace), result->series.path, err));
    enum tr_status status = sizes.of ? add_all(result, &sizes, err) : TR_OK;
    an_sizes_free(&sizes);
    return status;
}

void an_prices_free(struct an_result *result) {
    for (int64_t i = 0; i < result->prices; i++) {
        free(result->price[i].share);
        free(result->price[i].sum);
    }
    free(result->price);
    result->price = NULL;
    result->prices = 0;
}

double an_price_at(const struct an_price *price, double share) {
    for (int64_t i = 0; i < price->points; i++)
        if (price->share[i] <= share)
            return price->sum[i];
    return NAN;
}
