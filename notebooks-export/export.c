// SPDX-License-Identifier: Apache-2.0
#include "export/export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/printable.h"
#include "selection.h"
#include "store/copy.h"
#include "store/parts.h"

static enum tr_status write_gzip(const struct nx_job *job, const char *path, struct tr_err *err) {
    return tr_excerpt_write(job->trace, &job->excerpt, TR_FORM_GZIP, path, err);
}

static enum tr_status write_netcdf(const struct nx_job *job, const char *path, struct tr_err *err) {
    return tr_excerpt_write(job->trace, &job->excerpt, TR_FORM_NETCDF, path, err);
}

const struct nx_exporter nx_exporters[] = {
    {.name = "csv",
     .suffix = ".csv",
     .summary = "a table, one value a line (RFC 4180)",
     .takes = NX_VARIABLES | NX_WIDE | NX_UNITS | NX_COMMENT,
     .text = nx_csv},
    {.name = "json",
     .suffix = ".json",
     .summary = "the same as records",
     .takes = NX_VARIABLES,
     .text = nx_json},
    {.name = "hdf5",
     .suffix = ".gzip.h5",
     .summary = "a copy compressed by gzip, for readers without the zstd plugin",
     .takes = NX_VARIABLES,
     .everything = true,
     .file = write_gzip},
    {.name = "netcdf",
     .suffix = ".nc",
     .summary = "the same as netCDF-4 that keeps to the CF conventions",
     .takes = NX_VARIABLES,
     .everything = true,
     .file = write_netcdf},
    {.name = "notebook",
     .suffix = ".ipynb",
     .summary = "a Jupyter notebook that draws the usual figures",
     .takes = NX_CHOICE,
     .text = nx_notebook},
    {.name = "html",
     .suffix = ".html",
     .summary = "a page of figures and their values, needs no network",
     .takes = NX_FOLLOW | NX_CHOICE,
     .text = nx_html},
    {.name = "svg",
     .suffix = ".svg",
     .summary = "figures as vector graphics, a folder of them or one",
     .takes = NX_FIGURE | NX_FOLLOW | NX_CHOICE,
     .text = nx_svg,
     .folder = nx_svg_folder},
};
const int nx_exporter_count = sizeof nx_exporters / sizeof *nx_exporters;

const struct nx_exporter *nx_exporter_find(const char *name) {
    for (int i = 0; i < nx_exporter_count; i++)
        if (strcmp(nx_exporters[i].name, name) == 0)
            return &nx_exporters[i];
    return NULL;
}

// ---- options ---------------------------------------------------------------------------------

static enum tr_status unknown_format(const char *name, struct tr_err *err) {
    struct tr_string known = {0};
    enum tr_status status = TR_OK;
    for (int i = 0; status == TR_OK && i < nx_exporter_count; i++)
        status = tr_string_format(&known, err, "%s%s", i ? ", " : "", nx_exporters[i].name);
    if (status == TR_OK)
        status = tr_fail(err, TR_EUSAGE, "--to takes one of %s, not \"%s\"", known.data, name);
    tr_string_free(&known);
    return status;
}

static bool to_stdout(const struct nx_options *options) {
    return options->out && strcmp(options->out, "-") == 0;
}

static bool to_folder(const struct nx_options *options, const struct nx_exporter *exporter) {
    return exporter->folder && !options->figure;
}

static enum tr_status check_options(const struct nx_options *options,
                                    const struct nx_exporter *exporter, struct tr_err *err) {
    const struct {
        bool given;
        enum nx_takes what;
        const char *option;
    } special[] = {
        {options->variables != NULL, NX_VARIABLES, "--variables"},
        {options->wide, NX_WIDE, "--wide"},
        {options->units, NX_UNITS, "--units"},
        {options->comment, NX_COMMENT, "--comment"},
        {options->figure != NULL, NX_FIGURE, "--figure"},
        {options->follow, NX_FOLLOW, "--follow"},
        {options->by != NULL, NX_CHOICE, "--by"},
        {options->count != NULL, NX_CHOICE, "--count"},
        {options->below != NULL, NX_CHOICE, "--below"},
        {options->from != NULL, NX_CHOICE, "--from"},
        {options->level != NULL, NX_CHOICE, "--level"},
    };
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (special[i].given && !(exporter->takes & special[i].what))
            return tr_fail(err, TR_EUSAGE, "%s means nothing to --to %s", special[i].option,
                           exporter->name);
    if (to_stdout(options) && options->follow)
        return tr_fail(err, TR_EUSAGE, "--follow replaces a file: name it with -o");
    if (to_stdout(options) && to_folder(options, exporter))
        return tr_fail(err, TR_EUSAGE,
                       "--to %s writes a folder: name it with -o, or one figure with --figure",
                       exporter->name);
    if (to_stdout(options) && !exporter->text)
        return tr_fail(err, TR_EUSAGE, "--to %s writes a file: name it with -o", exporter->name);
    return TR_OK;
}

// ---- what is exported ------------------------------------------------------------------------

// Leaves out the failed checkpoints, and says how many.
static enum tr_status only_complete(struct nx_job *job, struct tr_string *notes,
                                    struct tr_err *err) {
    int64_t *index = job->excerpt.index[TR_DIM_CHECKPOINT], kept = 0;
    int64_t count = job->excerpt.count[TR_DIM_CHECKPOINT];
    for (int64_t i = 0; i < count; i++) {
        uint8_t status;
        TR_TRY(tr_trace_read(job->trace, TR_V_STATUS, index[i], 1, &status, err));
        if (status == TR_ROW_COMPLETE)
            index[kept++] = index[i];
    }
    job->excerpt.count[TR_DIM_CHECKPOINT] = kept;
    if (kept == 0)
        return tr_fail(err, TR_EFORMAT, "%s has no complete checkpoint%s%s", job->options->store,
                       job->options->steps ? " at --steps " : "",
                       job->options->steps ? job->options->steps : "");
    if (kept < count)
        return tr_string_format(notes, err, "%lld failed checkpoint%s left out\n",
                                (long long)(count - kept), count - kept == 1 ? " is" : "s are");
    return TR_OK;
}

// A store that is still being written may lag behind what is committed.
static enum tr_status note_parts(const char *store, struct tr_string *notes, struct tr_err *err) {
    char *folder;
    struct tr_part_list parts;
    TR_TRY(tr_parts_path(&folder, store, err));
    enum tr_status status = tr_parts_list(&parts, folder, err);
    if (status == TR_OK && parts.count)
        status = tr_string_format(
            notes, err, "%lld more checkpoint%s committed in %s, not yet published\n",
            (long long)parts.count, parts.count == 1 ? " is" : "s are", folder);
    if (status == TR_OK)
        tr_part_list_free(&parts);
    free(folder);
    return status;
}

// ---- where to --------------------------------------------------------------------------------

// The store's name in the present folder, with the exporter's suffix for its own: "trace.csv",
// "trace-heat-map.svg", the folder "trace-figures".
static enum tr_status default_path(const struct nx_options *options,
                                   const struct nx_exporter *exporter, char **path_p,
                                   struct tr_err *err) {
    struct tr_string path = {0};
    char *name;
    TR_TRY(tr_path_name(&name, options->store, err));
    const char *dot = strrchr(name, '.');
    int stem = dot && dot != name ? (int)(dot - name) : (int)strlen(name);
    bool folder = to_folder(options, exporter);
    enum tr_status status =
        tr_string_format(&path, err, "%.*s%s%s%s", stem, name, folder || options->figure ? "-" : "",
                         folder            ? "figures"
                         : options->figure ? options->figure
                                           : "",
                         folder ? "" : exporter->suffix);
    free(name);
    if (status == TR_OK)
        *path_p = path.data;
    return status;
}

static enum tr_status check_path(const struct nx_options *options, const char *path,
                                 struct tr_err *err) {
    struct stat there, store;
    if (stat(path, &there))
        return TR_OK;
    if (stat(options->store, &store) == 0 && store.st_dev == there.st_dev &&
        store.st_ino == there.st_ino)
        return tr_fail(err, TR_EUSAGE, "the output %s is the store itself", path);
    if (S_ISDIR(there.st_mode))
        return tr_fail(err, TR_EUSAGE, "the output %s is a folder", path);
    if (S_ISREG(there.st_mode) && !options->force)
        return tr_fail(err, TR_ECONFLICT, "%s exists; --force replaces it", path);
    return TR_OK;
}

static enum tr_status write_text(const struct nx_job *job, const struct nx_exporter *exporter,
                                 FILE *out, const char *path, struct tr_err *err) {
    errno = 0; // a write that fails in between is told of at the end
    TR_TRY(exporter->text(job, out, err));
    if (fflush(out) || ferror(out))
        return tr_fail(err, TR_EIO, "cannot write %s: %s", path, strerror(errno ? errno : EIO));
    return TR_OK;
}

// Names out of files may hold what a terminal obeys: it gets '?' instead, a pipe what is there.
static enum tr_status write_stdout(const struct nx_job *job, const struct nx_exporter *exporter,
                                   struct tr_err *err) {
    static const char path[] = "to stdout";
    char *text = NULL;
    size_t size = 0;
    if (!isatty(STDOUT_FILENO))
        return write_text(job, exporter, stdout, path, err);
    FILE *memory = open_memstream(&text, &size);
    if (!memory)
        return tr_fail(err, TR_ENOMEM, "out of memory for what goes to the terminal");
    enum tr_status status = write_text(job, exporter, memory, path, err);
    if (fclose(memory) && status == TR_OK)
        status = tr_fail(err, TR_ENOMEM, "out of memory for what goes to the terminal");
    if (status == TR_OK &&
        (fwrite(text, 1, tr_printable(text, size, "\r\n\t"), stdout) == 0 || fflush(stdout)))
        status = tr_fail(err, TR_EIO, "cannot write %s: %s", path, strerror(errno));
    free(text);
    return status;
}

// A file that is being written under the name tr_file_replace_by gives it.
struct output {
    const struct nx_job *job;
    const struct nx_exporter *exporter;
    const char *path; // its name in the end
};

static enum tr_status write_named(const void *user, const char *name, struct tr_err *err) {
    const struct output *output = user;
    if (output->exporter->file)
        return output->exporter->file(output->job, name, err);
    FILE *out = fopen(name, "wbe");
    if (!out)
        return tr_fail(err, TR_EIO, "cannot create %s: %s", name, strerror(errno));
    enum tr_status status = write_text(output->job, output->exporter, out, output->path, err);
    if (fclose(out) && status == TR_OK)
        status = tr_fail(err, TR_EIO, "cannot write %s: %s", output->path, strerror(errno));
    return status;
}

static enum tr_status write_file(const struct nx_job *job, const struct nx_exporter *exporter,
                                 const char *path, struct tr_err *err) {
    struct output output = {job, exporter, path};
    TR_TRY(check_path(job->options, path, err));
    return tr_file_replace_by(path, exporter->file != NULL, write_named, &output, err);
}

static enum tr_status write_output(const struct nx_job *job, const struct nx_exporter *exporter,
                                   char **path_p, struct tr_err *err) {
    char *path = NULL;
    if (to_stdout(job->options)) {
        TR_TRY(write_stdout(job, exporter, err));
    } else {
        if (job->options->out)
            TR_TRY(tr_strdup(&path, job->options->out, err));
        else
            TR_TRY(default_path(job->options, exporter, &path, err));
        enum tr_status status = to_folder(job->options, exporter)
                                    ? exporter->folder(job, path, err)
                                    : write_file(job, exporter, path, err);
        if (status != TR_OK) {
            free(path);
            return status;
        }
    }
    *path_p = path;
    return TR_OK;
}

enum tr_status nx_export(const struct nx_options *options, struct tr_string *notes, char **path_p,
                         struct tr_err *err) {
    const struct nx_exporter *exporter = nx_exporter_find(options->to);
    if (!exporter)
        return unknown_format(options->to, err);
    TR_TRY(check_options(options, exporter, err));
    struct tr_trace *trace;
    TR_TRY(tr_trace_open(&trace, options->store, err));
    struct nx_job job = {.options = options, .trace = trace};
    enum tr_status status;
    TR_GO(status, tr_excerpt_whole(&job.excerpt, trace, err), out);
    TR_GO(status, nx_select(&job.excerpt, trace, options, exporter, err), out);
    TR_GO(status, note_parts(options->store, notes, err), out);
    if (!exporter->everything)
        TR_GO(status, only_complete(&job, notes, err), out);
    status = write_output(&job, exporter, path_p, err);
out:
    tr_excerpt_free(&job.excerpt);
    tr_trace_close(trace);
    return status;
}
