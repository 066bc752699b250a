// SPDX-License-Identifier: Apache-2.0
// A Jupyter notebook (nbformat 4.5) from the template notebook/cells.py: cells that the store has
// the data for, with its name, its table and the Python package's sources filled in.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "notebook_table.h"

// The embedded files.
extern const char nx_notebook_cells[], nx_notebook_reader[], nx_notebook_drawing[],
    nx_notebook_orders[], nx_notebook_plots[], nx_notebook_costs_py[];

// What is filled in between @ and @.
struct value {
    const char *name;
    struct tr_string text;
};
enum {
    STORE,
    SERIES,
    PATH,
    EXCERPT,
    READER,
    DRAWING,
    ORDERS,
    PLOTS,
    COST_PLOTS,
    ABOUT,
    LAYERS,
    RULE,
    BY,
    AXIS,
    COSTS,
    VERDICTS,
    FORECASTS,
    PRICES,
    VALUES
};

// ---- values ----------------------------------------------------------------------------------

// The end of the import from another file of the package that begins here, which a notebook does
// not need, as that file is a cell before; NULL where none begins.
static const char *import_end(const char *line) {
    if (strncmp(line, "from .", strlen("from .")) != 0)
        return NULL;
    const char *end = strchr(line, '\n'), *open = strchr(line, '(');
    if (open && open < end)
        end = strchr(strchr(open, ')'), '\n');
    return end + 1;
}

// A file of the package without the first line, the licence.
static enum tr_status put_source(struct tr_string *text, const char *source, struct tr_err *err) {
    for (const char *line = strchr(source, '\n') + 1; *line;) {
        const char *end = strchr(line, '\n') + 1, *behind = import_end(line);
        if (!behind)
            TR_TRY(tr_string_append(text, line, (size_t)(end - line) - !*end, err));
        line = behind ? behind : end;
    }
    return TR_OK;
}

// Whether the output will lie in the folder of the store, whose real path this is.
static bool lies_beside(const char *store, const char *out) {
    const char *slash = out ? strrchr(out, '/') : NULL;
    char *named = slash ? strndup(out, (size_t)(slash - out) + 1) : strdup(".");
    char *folder = named ? realpath(named, NULL) : NULL;
    size_t size = folder ? strlen(folder) : 0;
    bool beside = folder && !strncmp(store, folder, size) && store[size] == '/' &&
                  !strchr(store + size + 1, '/');
    free(folder);
    free(named);
    return beside;
}

// The path of the store as the notebook finds it, within a Python string.
static enum tr_status put_path(struct tr_string *text, const struct nx_options *options,
                               struct tr_err *err) {
    char *real = realpath(options->store, NULL);
    const char *path = real ? real : options->store;
    enum tr_status status = TR_OK;
    if (!tr_utf8_valid(path, strlen(path)))
        status = tr_fail(err, TR_EUSAGE, "a notebook cannot name %s, whose path is not UTF-8",
                         options->store);
    if (real && lies_beside(real, options->out))
        path = strrchr(real, '/') + 1;
    for (; *path && status == TR_OK; path++)
        if (*path == '"' || *path == '\\' || (unsigned char)*path < 0x20)
            status = tr_string_format(text, err, "\\x%02x", (unsigned char)*path);
        else
            status = tr_string_append(text, path, 1, err);
    free(real);
    return status;
}

static enum tr_status put_series(struct tr_string *text, const struct nx_job *job,
                                 struct tr_err *err) {
    const struct tr_run_info *info = tr_trace_info(job->trace);
    const struct tr_attribute *model = tr_run_info_find(info, "model");
    int64_t rows = tr_trace_rows(job->trace);
    return tr_string_format(text, err,
                            "%s%s%lld checkpoint%s, %lld layers, %lld calibration "
                            "sequences of %lld tokens",
                            model && !model->is_number ? model->text : "",
                            model && !model->is_number ? "; " : "", (long long)rows,
                            rows == 1 ? "" : "s", (long long)info->layout.layers,
                            (long long)info->layout.sequences, (long long)info->layout.seq_len);
}

static enum tr_status put_indices(struct tr_string *text, const struct nx_job *job, enum tr_dim dim,
                                  struct tr_err *err) {
    TR_TRY(tr_string_format(text, err, ".sel(%s=[", tr_dim_name(dim)));
    for (int64_t i = 0; i < job->excerpt.count[dim]; i++) {
        int64_t index = job->excerpt.index[dim][i];
        const char *comma = i ? ", " : "";
        if (dim == TR_DIM_MODULE)
            TR_TRY(tr_string_format(text, err, "%s\"%s\"", comma, tr_module_names[index]));
        else
            TR_TRY(tr_string_format(text, err, "%s%lld", comma, (long long)index));
    }
    return tr_string_append(text, "])", 2, err);
}

// ".sel(layer=[0, 1])" for each dimension of which not all is wanted.
static enum tr_status put_excerpt(struct tr_string *text, const struct nx_job *job,
                                  struct tr_err *err) {
    if (job->options->layers)
        TR_TRY(put_indices(text, job, TR_DIM_LAYER, err));
    if (job->options->modules)
        TR_TRY(put_indices(text, job, TR_DIM_MODULE, err));
    if (job->options->steps)
        TR_TRY(put_indices(text, job, TR_DIM_CHECKPOINT, err));
    return TR_OK;
}

static enum tr_status make_values(struct value *values, const struct nx_job *job,
                                  struct tr_err *err) {
    char *name;
    TR_TRY(tr_path_name(&name, job->options->store, err));
    enum tr_status status = tr_string_append(&values[STORE].text, name, strlen(name), err);
    free(name);
    TR_TRY(status);
    TR_TRY(put_series(&values[SERIES].text, job, err));
    TR_TRY(put_path(&values[PATH].text, job->options, err));
    TR_TRY(put_excerpt(&values[EXCERPT].text, job, err));
    TR_TRY(put_source(&values[READER].text, nx_notebook_reader, err));
    TR_TRY(put_source(&values[DRAWING].text, nx_notebook_drawing, err));
    TR_TRY(put_source(&values[ORDERS].text, nx_notebook_orders, err));
    TR_TRY(put_source(&values[PLOTS].text, nx_notebook_plots, err));
    TR_TRY(put_source(&values[COST_PLOTS].text, nx_notebook_costs_py, err));
    struct nx_notebook_tables tables = {.layers = {0}};
    status = nx_notebook_tables_make(&tables, job, err);
    values[ABOUT].text = tables.about;
    values[LAYERS].text = tables.layers;
    values[RULE].text = tables.rule;
    values[BY].text = tables.by;
    values[AXIS].text = tables.axis;
    values[COSTS].text = tables.costs;
    values[VERDICTS].text = tables.verdicts;
    values[FORECASTS].text = tables.forecasts;
    values[PRICES].text = tables.prices;
    return status;
}

// The value whose name stands between @ at the start of the text; NULL when none does.
static const struct value *value_at(const struct value *values, const char *text) {
    for (int i = 0; *text == '@' && i < VALUES; i++) {
        size_t size = strlen(values[i].name);
        if (!strncmp(text + 1, values[i].name, size) && text[size + 1] == '@')
            return &values[i];
    }
    return NULL;
}

static enum tr_status fill_in(struct tr_string *out, const char *text, const char *end,
                              const struct value *values, struct tr_err *err) {
    TR_TRY(tr_string_append(out, "", 0, err));
    while (text < end) {
        const struct value *value = value_at(values, text);
        if (value && value->text.size)
            TR_TRY(tr_string_append(out, value->text.data, value->text.size, err));
        else if (!value)
            TR_TRY(tr_string_append(out, text, 1, err));
        text += value ? strlen(value->name) + 2 : 1;
    }
    return TR_OK;
}

// ---- cells -----------------------------------------------------------------------------------

// Lines with their ends, as nbformat keeps them; no end behind the last.
static json_t *lines_of(const struct tr_string *text) {
    json_t *lines = json_array();
    size_t left = text->size;
    for (const char *at = text->data; left;) {
        const char *end = memchr(at, '\n', left);
        size_t size = end ? (size_t)(end - at) + 1 : left;
        json_array_append_new(lines, json_stringn(at, size));
        at += size;
        left -= size;
    }
    return lines;
}

static json_t *new_cell(int number, bool markdown, bool hidden, json_t *source) {
    char id[32];
    snprintf(id, sizeof id, "cell-%d", number);
    json_t *metadata =
        hidden ? json_pack("{s:{s:b}}", "jupyter", "source_hidden", 1) : json_object();
    if (markdown)
        return json_pack("{s:s, s:s, s:o, s:o}", "cell_type", "markdown", "id", id, "metadata",
                         metadata, "source", source);
    return json_pack("{s:s, s:s, s:n, s:o, s:[], s:o}", "cell_type", "code", "id", id,
                     "execution_count", "metadata", metadata, "outputs", "source", source);
}

// Whether the heading, a line behind the marker, holds a word.
static bool says(const char *heading, const char *end, const char *word) {
    const char *found = memmem(heading, (size_t)(end - heading), word, strlen(word));
    return found != NULL;
}

// Whether the store has the variable that stands in the heading behind `key`; `otherwise` where
// none does.
static bool has_variable(const struct tr_trace *trace, const char *heading, const char *end,
                         const char *key, bool otherwise) {
    const char *name = memmem(heading, (size_t)(end - heading), key, strlen(key));
    char variable[64];
    if (!name)
        return otherwise;
    name += strlen(key);
    snprintf(variable, sizeof variable, "%.*s", (int)(end - name), name);
    int id = tr_variable_find(variable);
    return id >= 0 && tr_trace_has(trace, id);
}

// Appends the cell whose heading and text these are.
static enum tr_status add_cell(json_t *cells, const struct nx_job *job, const struct value *values,
                               const char *heading, const char *end, struct tr_err *err) {
    const char *text = strchr(heading, '\n') + 1;
    struct tr_string source = {0};
    if (!has_variable(job->trace, heading, text - 1, "needs=", true) ||
        has_variable(job->trace, heading, text - 1, "lacks=", false))
        return TR_OK;
    enum tr_status status = fill_in(&source, text, end, values, err);
    if (status == TR_OK &&
        json_array_append_new(cells,
                              new_cell((int)json_array_size(cells), says(heading, text, "markdown"),
                                       says(heading, text, "hidden"), lines_of(&source))))
        status = tr_fail(err, TR_ENOMEM, "no memory for the cells of a notebook");
    tr_string_free(&source);
    return status;
}

static enum tr_status add_cells(json_t *cells, const struct nx_job *job, const struct value *values,
                                struct tr_err *err) {
    const char *heading = strstr(nx_notebook_cells, "\n# %%");
    while (heading) {
        const char *next = strstr(heading + 1, "\n# %%");
        const char *end = next ? next : heading + strlen(heading) - 1; // without the last line end
        TR_TRY(add_cell(cells, job, values, heading + 1, end, err));
        heading = next;
    }
    return TR_OK;
}

// ---- the notebook ----------------------------------------------------------------------------

static enum tr_status write_notebook(json_t *cells, FILE *out, struct tr_err *err) {
    json_t *notebook =
        json_pack("{s:O, s:{s:{s:s, s:s, s:s}, s:{s:s}}, s:i, s:i}", "cells", cells, "metadata",
                  "kernelspec", "display_name", "Python 3", "language", "python", "name", "python3",
                  "language_info", "name", "python", "nbformat", 4, "nbformat_minor", 5);
    char *text = notebook ? json_dumps(notebook, JSON_INDENT(1)) : NULL;
    json_decref(notebook);
    if (!text)
        return tr_fail(err, TR_ENOMEM, "no memory for a notebook");
    fprintf(out, "%s\n", text);
    free(text);
    return TR_OK;
}

enum tr_status nx_notebook(const struct nx_job *job, FILE *out, struct tr_err *err) {
    struct value values[VALUES] = {
        [STORE] = {.name = "STORE"},
        [SERIES] = {.name = "SERIES"},
        [PATH] = {.name = "PATH"},
        [EXCERPT] = {.name = "EXCERPT"},
        [READER] = {.name = "READER"},
        [DRAWING] = {.name = "DRAWING"},
        [ORDERS] = {.name = "ORDERS"},
        [PLOTS] = {.name = "PLOTS"},
        [COST_PLOTS] = {.name = "COST_PLOTS"},
        [ABOUT] = {.name = "ABOUT"},
        [LAYERS] = {.name = "LAYERS"},
        [RULE] = {.name = "RULE"},
        [BY] = {.name = "BY"},
        [AXIS] = {.name = "AXIS"},
        [COSTS] = {.name = "COSTS"},
        [VERDICTS] = {.name = "VERDICTS"},
        [FORECASTS] = {.name = "FORECASTS"},
        [PRICES] = {.name = "PRICES"},
    };
    json_t *cells = json_array();
    enum tr_status status = make_values(values, job, err);
    if (status == TR_OK)
        status = add_cells(cells, job, values, err);
    if (status == TR_OK)
        status = write_notebook(cells, out, err);
    json_decref(cells);
    for (int i = 0; i < VALUES; i++)
        tr_string_free(&values[i].text);
    return status;
}
