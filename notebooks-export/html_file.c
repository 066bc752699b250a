// SPDX-License-Identifier: Apache-2.0
// All figures, what is behind them and where it came from, as one HTML file.
#include <math.h>

#include "export.h"
#include "figures.h"
#include "html_page.h"
#include "result.h"

enum { RESAMPLES = 10000, FEWER_RESAMPLES = 1000 };
#define MANY_VALUES 1e6 // by checkpoint, layer, module and sequence

// Builds every figure that the data allows; returns how many in *count_p, also when it fails.
static enum tr_status build_all(struct nx_figure *figures, int *count_p, const struct nx_data *data,
                                struct tr_err *err) {
    *count_p = 0;
    for (int i = 0; i < nx_figure_count; i++) {
        const struct nx_figure_row *row = &nx_figures[i];
        if (row->possible && !row->possible(data))
            continue;
        TR_TRY(nx_figure_build(&figures[*count_p], row, data, err));
        ++*count_p;
    }
    return TR_OK;
}

// What trace-analyze says by default, with fewer resamples where they would take long: the page of
// a large store is still there in seconds.
static enum tr_status analyze(struct an_result *result, const struct nx_job *job,
                              struct tr_err *err) {
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

enum tr_status nx_html(const struct nx_job *job, FILE *out, struct tr_err *err) {
    struct nx_figure figures[NX_FIGURES_MAX];
    struct nx_data data = {0};
    struct an_result result = {0};
    struct nx_page page = {.store = job->options->store,
                           .data = &data,
                           .info = tr_trace_info(job->trace),
                           .result = &result,
                           .figures = figures};
    struct tr_string text = {0};
    enum tr_status status;
    TR_GO(status, nx_data_load(&data, job->trace, &job->excerpt, err), out);
    TR_GO(status, build_all(figures, &page.count, &data, err), out);
    TR_GO(status, analyze(&result, job, err), out);
    status = nx_page_write(&text, &page, err);
    if (status == TR_OK)
        fwrite(text.data, 1, text.size, out);
out:
    for (int i = 0; i < page.count; i++)
        nx_figure_free(&figures[i]);
    an_result_free(&result);
    nx_data_free(&data);
    tr_string_free(&text);
    return status;
}
