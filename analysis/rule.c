// SPDX-License-Identifier: Apache-2.0
#include "analysis/rule.h"

#include <stdio.h>

enum tr_status an_rule_text(struct tr_string *out, const struct an_result *result,
                            struct tr_err *err) {
    static const char *const weights[AN_AXES] = {"weighed by tokens", "weighed by steps",
                                                 "each checkpoint once"};
    const struct an_series *series = &result->series;
    const char *noun = an_criteria[series->by].noun;
    if (series->claimed == 1)
        return tr_string_format(out, err, "by %s at the one checkpoint", noun);
    TR_TRY(tr_string_format(out, err, "by mean %s over training, %s", noun, weights[series->axis]));
    if (result->settings.from == INT64_MIN)
        return TR_OK;
    return tr_string_format(out, err, ", from step %lld on", (long long)result->settings.from);
}

char *an_probability_text(double p, int64_t resamples, char out[AN_PROBABILITY_MAX]) {
    double least = 1.0 / (double)resamples;
    if (p > 1.0 - 0.5 * least) // shares are summed, and round
        snprintf(out, AN_PROBABILITY_MAX, "over %.6g", 1.0 - least);
    else if (p < 0.5 * least)
        snprintf(out, AN_PROBABILITY_MAX, "under %.6g", least);
    else
        snprintf(out, AN_PROBABILITY_MAX, p > 0.999 ? "%.6g" : "%.3g", p);
    return out;
}
