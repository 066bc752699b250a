// SPDX-License-Identifier: Apache-2.0
#include "ckpt/series.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strings.h"
#include "manifest.h"

enum { MANIFEST_LIMIT = 64 << 20 }; // bytes

static enum tr_status copy_path(char **path_p, const char *path, struct tr_err *err) {
    TR_TRY(tr_strdup(path_p, path, err));
    for (size_t end = strlen(path); end > 1 && path[end - 1] == '/'; end--)
        (*path_p)[end - 1] = 0;
    return TR_OK;
}

// The last component, of the resolved path where the given one ends in none ("." or "..").
static enum tr_status name_of(char **name_p, const char *path, struct tr_err *err) {
    char resolved[PATH_MAX], *name;
    TR_TRY(tr_path_name(&name, path, err));
    if (!strcmp(name, ".") || !strcmp(name, "..")) {
        free(name);
        if (!realpath(path, resolved))
            return tr_fail(err, TR_EUSAGE, "cannot resolve %s: %s", path, strerror(errno));
        TR_TRY(tr_path_name(&name, resolved, err));
    }
    enum tr_status status = TR_OK;
    if (!*name || !tr_utf8_valid(name, strlen(name)))
        status = tr_fail(err, TR_EUSAGE, "the name of the folder %s is %s", path,
                         *name ? "not valid UTF-8" : "empty");
    if (status == TR_OK)
        *name_p = name;
    else
        free(name);
    return status;
}

static void skip_file(struct tr_series *series, const char *path) {
    const char *slash = strrchr(path, '/');
    if (!series->skipped_files++)
        snprintf(series->first_skipped, sizeof series->first_skipped, "%s",
                 slash && slash[1] ? slash + 1 : path);
}

// Appends the folder `path`; series->entries has room.
static enum tr_status add_path(struct tr_series *series, const char *path, const char *name,
                               struct tr_err *err) {
    struct stat info;
    if (stat(path, &info))
        return tr_fail(err, TR_EUSAGE, "cannot find the checkpoint folder %s: %s", path,
                       strerror(errno));
    if (!S_ISDIR(info.st_mode)) {
        skip_file(series, path);
        return TR_OK;
    }
    struct tr_series_entry *entry = &series->entries[series->count++];
    TR_TRY(copy_path(&entry->path, path, err));
    if (*name)
        TR_TRY(tr_strdup(&entry->name, name, err));
    else
        TR_TRY(name_of(&entry->name, entry->path, err));
    tr_name_parse(entry->name, &entry->parsed);
    return TR_OK;
}

// What the manifest gives overrides what the name tells.
static void override(struct tr_name *parsed, const struct tr_manifest_row *row) {
    if (*row->stage)
        snprintf(parsed->stage, sizeof parsed->stage, "%s", row->stage);
    if (row->step >= 0)
        parsed->step = row->step;
    if (!isnan(row->tokens))
        parsed->tokens = row->tokens;
}

static enum tr_status add_row(struct tr_series *series, const char *folder,
                              const struct tr_manifest_row *row, struct tr_err *err) {
    char *path;
    TR_TRY(*row->path == '/' ? tr_strdup(&path, row->path, err)
                             : tr_path_join(&path, folder, row->path, err));
    int64_t before = series->count;
    enum tr_status status = add_path(series, path, row->name, err);
    free(path);
    if (status == TR_OK && series->count > before)
        override(&series->entries[before].parsed, row);
    return status;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct tr_series_entry *)a)->name,
                  ((const struct tr_series_entry *)b)->name);
}

static enum tr_status refuse_equal_names(struct tr_series *series, struct tr_err *err) {
    struct tr_series_entry *entries = series->entries;
    qsort(entries, (size_t)series->count, sizeof *entries, compare_names);
    for (int64_t i = 1; i < series->count; i++)
        if (!strcmp(entries[i - 1].name, entries[i].name))
            return tr_fail(err, TR_EUSAGE,
                           "%s and %s have the same name, and a trace knows its checkpoints by "
                           "name: give them a \"name\" in a manifest",
                           entries[i - 1].path, entries[i].path);
    return TR_OK;
}

enum axis { BY_STEP, BY_TOKENS, BY_NAME };

static int compare_entries(const void *a_, const void *b_, void *axis_) {
    const struct tr_series_entry *a = a_, *b = b_;
    const enum axis axis = *(const enum axis *)axis_;
    int order = tr_natural_compare(a->parsed.stage, b->parsed.stage);
    if (!order && axis == BY_STEP)
        order = (a->parsed.step > b->parsed.step) - (a->parsed.step < b->parsed.step);
    if (!order && axis == BY_TOKENS)
        order = (a->parsed.tokens > b->parsed.tokens) - (a->parsed.tokens < b->parsed.tokens);
    return order ? order : tr_natural_compare(a->name, b->name);
}

static void sort_entries(struct tr_series *series) {
    static const char *const texts[2][3] = {
        {"by step", "by tokens", "by name"},
        {"by stage, then step", "by stage, then tokens", "by stage, then name"}};
    bool steps = true, tokens = true, stages = false;
    for (int64_t i = 0; i < series->count; i++) {
        const struct tr_name *parsed = &series->entries[i].parsed;
        steps = steps && parsed->step >= 0;
        tokens = tokens && !isnan(parsed->tokens);
        stages = stages || strcmp(parsed->stage, series->entries[0].parsed.stage);
    }
    enum axis axis = steps ? BY_STEP : tokens ? BY_TOKENS : BY_NAME;
    qsort_r(series->entries, (size_t)series->count, sizeof *series->entries, compare_entries,
            &axis);
    series->order = texts[stages][axis];
}

static enum tr_status finish(struct tr_series *series, int64_t tokens_per_step,
                             struct tr_err *err) {
    if (!series->count && series->skipped_files)
        return tr_fail(err, TR_EUSAGE,
                       "no checkpoint folder was given, only %lld plain files (the first is %s)",
                       (long long)series->skipped_files, series->first_skipped);
    if (!series->count)
        return tr_fail(err, TR_EUSAGE, "no checkpoint folder was given");
    for (int64_t i = 0; i < series->count && tokens_per_step > 0; i++) {
        struct tr_name *parsed = &series->entries[i].parsed;
        if (parsed->step >= 0 && isnan(parsed->tokens))
            parsed->tokens = (double)parsed->step * (double)tokens_per_step;
    }
    TR_TRY(refuse_equal_names(series, err));
    sort_entries(series);
    return TR_OK;
}

enum tr_status tr_series_from_paths(struct tr_series *series, char *const *paths, int64_t count,
                                    int64_t tokens_per_step, struct tr_err *err) {
    struct tr_series built = {0};
    enum tr_status status;
    TR_TRY(TR_NEW(&built.entries, count, "the series", err));
    for (int64_t i = 0; i < count; i++)
        TR_GO(status, add_path(&built, paths[i], "", err), out);
    TR_GO(status, finish(&built, tokens_per_step, err), out);
    *series = built;
    return TR_OK;
out:
    tr_series_free(&built);
    return status;
}

static enum tr_status add_rows(struct tr_series *series, const char *manifest_path,
                               const struct tr_manifest *manifest, struct tr_err *err) {
    const char *slash = strrchr(manifest_path, '/');
    char *folder;
    TR_TRY(tr_strdup(&folder, slash ? manifest_path : "./", err));
    folder[slash ? slash - manifest_path + 1 : 2] = 0;
    enum tr_status status = TR_NEW(&series->entries, manifest->count, "the series", err);
    for (int64_t i = 0; i < manifest->count && status == TR_OK; i++)
        status = add_row(series, folder, &manifest->rows[i], err);
    free(folder);
    return status;
}

enum tr_status tr_series_from_manifest(struct tr_series *series, const char *manifest_path,
                                       int64_t tokens_per_step, struct tr_err *err) {
    struct tr_series built = {0};
    struct tr_manifest manifest = {0};
    char *bytes = NULL;
    size_t size;
    enum tr_status status;
    TR_TRY(tr_file_load(manifest_path, MANIFEST_LIMIT, &bytes, &size, err));
    TR_GO(status, tr_manifest_parse(&manifest, bytes, size, manifest_path, err), out);
    TR_GO(status, add_rows(&built, manifest_path, &manifest, err), out);
    TR_GO(status, finish(&built, tokens_per_step, err), out);
    *series = built;
    built = (struct tr_series){0};
out:
    tr_series_free(&built);
    tr_manifest_free(&manifest);
    free(bytes);
    return status;
}

void tr_series_free(struct tr_series *series) {
    for (int64_t i = 0; i < series->count; i++) {
        free(series->entries[i].path);
        free(series->entries[i].name);
    }
    free(series->entries);
    *series = (struct tr_series){0};
}
