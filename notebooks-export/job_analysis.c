// SPDX-License-Identifier: Apache-2.0
#include "job_analysis.h"

#include <math.h>

enum { RESAMPLES = 10000, FEWER_RESAMPLES = 1000 };
#define MANY_VALUES 1e6 // by checkpoint, layer, module and sequence

enum tr_status nx_analyze(struct an_result *result, const struct nx_job *job, struct tr_err *err) {
    struct an_settings settings = {
        .below = NAN, .from = INT64_MIN, .resamples = RESAMPLES, .level = 0.95};
    for (int module = 0; module < TR_MODULES; module++)
        settings.wanted[module] = true;
    const struct tr_layout *layout = &tr_trace_info(job->trace)->layout;
    double values = (double)tr_trace_rows(job->trace) * (double)layout->layers * TR_MODULES *
                    (double)layout->sequences;
    if (values > MANY_VALUES)
        settings.resamples = FEWER_RESAMPLES;
    return an_analyze(result, job->trace, job->options->store, &settings, err);
}
