// SPDX-License-Identifier: Apache-2.0
// Early prediction: how well the cheapest at the end are told by what is there at a checkpoint.
#include <math.h>

#include "statistics/cross_fit.h"
#include "statistics/sure_order.h"
#include "trial.h"

static enum tr_status tell(struct an_forecast *forecast, const struct an_trial *trial,
                           const struct an_exhibit *here, const struct an_exhibit *last,
                           const struct an_settings *settings, struct tr_err *err) {
    const double *x = here->value[forecast->by], *y = last->value[forecast->cost];
    int64_t units = trial->units, rows = trial->rows, count = trial->count;
    struct an_sure_share share =
        an_sure_share(here->sign[forecast->by], last->sign[forecast->cost], units, count);
    struct an_halves halves;
    struct an_regret regret;
    TR_TRY(an_halves(&halves, x, y, units, rows, count, AN_SPLITS, settings->seed, err));
    TR_TRY(an_cross_fit(&regret, x, y, units, rows, count, settings->level, err));
    forecast->found = (struct an_estimate){halves.found, share.low, share.high};
    forecast->regret = (struct an_estimate){regret.value, regret.low, regret.high};
    return TR_OK;
}

enum tr_status an_forecast_make(struct an_forecast *forecast, int64_t checkpoint,
                                const struct an_trial *trial, const struct an_exhibit *here,
                                const struct an_exhibit *last, const struct an_settings *settings,
                                struct tr_err *err) {
    for (int by = 0; by < AN_TRIED; by++)
        for (int cost = AN_PROXIES; cost < AN_TRIED; cost++, forecast++) {
            forecast->checkpoint = checkpoint;
            forecast->by = by;
            forecast->cost = cost;
            TR_TRY(tell(forecast, trial, here, last, settings, err));
        }
    return TR_OK;
}

static const struct an_forecast *forecast_of(const struct an_trial *trial, int64_t at, int by,
                                             int cost) {
    return &trial->forecast[(at * AN_TRIED + by) * AN_COSTS + cost - AN_PROXIES];
}

void an_told_make(struct an_trial *trial) {
    struct an_told *told = trial->told;
    int64_t last = trial->checkpoints - 1;
    for (int by = 0; by < AN_TRIED; by++)
        for (int cost = AN_PROXIES; cost < AN_TRIED; cost++, told++) {
            double itself = forecast_of(trial, last, cost, cost)->found.value;
            *told = (struct an_told){by, cost, -1, itself};
            for (int64_t at = last; at >= 0; at--) {
                if (forecast_of(trial, at, by, cost)->found.value < AN_MOST * itself)
                    break;
                told->from = trial->checkpoint[at];
            }
        }
}
