// SPDX-License-Identifier: Apache-2.0
// Figures as files: one, or all that the store has the data for in a folder.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "export/export.h"
#include "figures/figures.h"
#include "figures/svg.h"
#include "job_analysis.h"

static enum tr_status draw(struct tr_string *out, const struct nx_figure_row *row,
                           const struct nx_data *data, const char *source, struct tr_err *err) {
    struct nx_figure figure;
    TR_TRY(nx_figure_build(&figure, row, data, err));
    enum tr_status status = nx_svg_document(out, &figure, source, err);
    nx_figure_free(&figure);
    return status;
}

// What figures show, with the sets of the analysis where they show these.
static enum tr_status load(struct nx_data *data, const struct nx_job *job, bool chooses,
                           struct tr_err *err) {
    struct an_result result = {0};
    enum tr_status status;
    TR_TRY(nx_data_load(data, job->trace, &job->excerpt, err));
    if (!chooses)
        return TR_OK;
    TR_GO(status, nx_analyze(&result, job, false, err), out);
    status = nx_data_choose(data, &result, err);
out:
    an_result_free(&result);
    if (status != TR_OK)
        nx_data_free(data);
    return status;
}

// ---- one -------------------------------------------------------------------------------------

static enum tr_status find(const struct nx_figure_row **row_p, const char *name,
                           struct tr_err *err) {
    struct tr_string known = {0};
    enum tr_status status = TR_OK;
    *row_p = nx_figure_find(name);
    if (*row_p)
        return TR_OK;
    for (int i = 0; status == TR_OK && i < nx_figure_count; i++)
        status = tr_string_format(&known, err, "%s%s", i ? ", " : "", nx_figures[i].name);
    if (status == TR_OK)
        status = tr_fail(err, TR_EUSAGE, "--figure takes one of %s, not \"%s\"", known.data, name);
    tr_string_free(&known);
    return status;
}

enum tr_status nx_svg(const struct nx_job *job, FILE *out, struct tr_err *err) {
    const struct nx_figure_row *row;
    struct nx_data data = {0};
    struct tr_string text = {0};
    enum tr_status status;
    TR_TRY(find(&row, job->options->figure, err));
    TR_TRY(load(&data, job, row->chooses || job->options->by, err));
    if (nx_figure_possible(row, &data))
        status = draw(&text, row, &data, job->options->store, err);
    else
        status = tr_fail(err, TR_EUSAGE, "--figure %s: %s %s", row->name, job->options->store,
                         row->needs);
    if (status == TR_OK)
        fwrite(text.data, 1, text.size, out);
    tr_string_free(&text);
    nx_data_free(&data);
    return status;
}

// ---- all -------------------------------------------------------------------------------------

static enum tr_status file_path(struct tr_string *path, const char *folder,
                                const struct nx_figure_row *row, struct tr_err *err) {
    return tr_string_format(path, err, "%s/%s.svg", folder, row->name);
}

// Checks that every file may be written before the first one is.
static enum tr_status check_folder(const struct nx_job *job, const char *folder,
                                   struct tr_err *err) {
    size_t size = strlen(folder);
    if (tr_file_exists(folder) && !tr_is_folder(folder))
        return tr_fail(err, TR_EUSAGE, "the output %s is no folder; --figure writes one file",
                       folder);
    if (size > 4 && strcmp(folder + size - 4, ".svg") == 0)
        return tr_fail(err, TR_EUSAGE,
                       "all figures go into a folder, not a file %s; --figure writes one", folder);
    enum tr_status status = TR_OK;
    for (int i = 0; i < nx_figure_count && status == TR_OK && !job->options->force; i++) {
        struct tr_string path = {0};
        status = file_path(&path, folder, &nx_figures[i], err);
        if (status == TR_OK && tr_file_exists(path.data))
            status = tr_fail(err, TR_ECONFLICT, "%s exists; --force replaces figures", path.data);
        tr_string_free(&path);
    }
    return status;
}

static enum tr_status write_figure(const char *folder, const struct nx_figure_row *row,
                                   const struct nx_data *data, const char *source,
                                   struct tr_err *err) {
    struct tr_string path = {0}, text = {0};
    enum tr_status status;
    TR_GO(status, file_path(&path, folder, row, err), out);
    TR_GO(status, draw(&text, row, data, source, err), out);
    status = tr_file_replace(path.data, text.data, text.size, err);
out:
    tr_string_free(&path);
    tr_string_free(&text);
    return status;
}

enum tr_status nx_svg_folder(const struct nx_job *job, const char *folder, struct tr_err *err) {
    struct nx_data data;
    TR_TRY(check_folder(job, folder, err));
    if (mkdir(folder, 0777) && errno != EEXIST)
        return tr_fail(err, TR_EIO, "cannot create the folder %s: %s", folder, strerror(errno));
    TR_TRY(load(&data, job, true, err));
    enum tr_status status = TR_OK;
    for (int i = 0; i < nx_figure_count && status == TR_OK; i++)
        if (nx_figure_possible(&nx_figures[i], &data))
            status = write_figure(folder, &nx_figures[i], &data, job->options->store, err);
    nx_data_free(&data);
    return status;
}
