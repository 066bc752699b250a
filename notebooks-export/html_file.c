// SPDX-License-Identifier: Apache-2.0
// All figures, what is behind them and where it came from, as one HTML file.
#include "export/export.h"
#include "figures/figures.h"
#include "html/html_page.h"
#include "job_analysis.h"

// Builds every figure that the data allows; returns how many in *count_p, also when it fails.
static enum tr_status build_all(struct nx_figure *figures, int *count_p, const struct nx_data *data,
                                struct tr_err *err) {
    *count_p = 0;
    for (int i = 0; i < nx_figure_count; i++) {
        const struct nx_figure_row *row = &nx_figures[i];
        if (!nx_figure_possible(row, data))
            continue;
        TR_TRY(nx_figure_build(&figures[*count_p], row, data, err));
        ++*count_p;
    }
    return TR_OK;
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
    TR_GO(status, nx_analyze(&result, job, true, err), out);
    TR_GO(status, nx_data_choose(&data, &result, err), out);
    TR_GO(status, build_all(figures, &page.count, &data, err), out);
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
