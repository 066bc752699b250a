// SPDX-License-Identifier: Apache-2.0
#include "ckpt/series.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strings.h"
#include "manifest.h"
#include "reader.h"
#include "series_steps.h"
#include "trainers/trainer_counters.h"

enum { MANIFEST_LIMIT = 64 << 20 }; // bytes

static enum tr_status copy_path(char **path_p, const char *path, struct tr_err *err) {
    TR_TRY(tr_strdup(path_p, path, err));
    for (size_t end = strlen(path); end > 1 && path[end - 1] == '/'; end--)
        (*path_p)[end - 1] = 0;
    return TR_OK;
}

void tr_told_add(struct tr_told *told, const struct tr_series_entry *entry) {
    told->first = told->first ? told->first : entry;
    told->count++;
}

const char *tr_told_names(const struct tr_told *told, char out[320]) {
    if (told->count == 1)
        snprintf(out, 320, "%.255s", told->first->name);
    else
        snprintf(out, 320, "%.255s and %lld other%s", told->first->name, (long long)told->count - 1,
                 told->count == 2 ? "" : "s");
    return out;
}

bool tr_entry_is_timeless(const struct tr_series_entry *entry) {
    return entry->parsed.step < 0 && isnan(entry->parsed.tokens);
}

enum tr_status tr_series_list(struct tr_series_entry ***list_p, const struct tr_series *series,
                              struct tr_err *err) {
    TR_TRY(TR_NEW(list_p, series->count, "the series", err));
    for (int64_t i = 0; i < series->count; i++)
        (*list_p)[i] = &series->entries[i];
    return TR_OK;
}

static void skip_file(struct tr_series *series, const char *path) {
    const char *slash = strrchr(path, '/');
    if (!series->skipped_files++)
        snprintf(series->first_skipped, sizeof series->first_skipped, "%s",
                 slash && slash[1] ? slash + 1 : path);
}

// Whether a file is a checkpoint by itself.
static bool is_checkpoint(const char *path) {
    const char *slash = strrchr(path, '/');
    return tr_is_checkpoint_file(slash ? slash + 1 : path);
}

// Appends the folder or file `path`; series->entries has room.
static enum tr_status add_path(struct tr_series *series, const char *path, struct tr_err *err) {
    struct stat info;
    if (stat(path, &info))
        return tr_fail(err, TR_EIO, "cannot find the checkpoint folder %s: %s", path,
                       strerror(errno));
    if (!S_ISDIR(info.st_mode) && !(S_ISREG(info.st_mode) && is_checkpoint(path))) {
        skip_file(series, path);
        return TR_OK;
    }
    struct tr_series_entry *entry = &series->entries[series->count];
    entry->row = series->count++;
    entry->parsed = (struct tr_name){.step = -1, .tokens = NAN};
    return copy_path(&entry->path, path, err);
}

static enum tr_status take_row(struct tr_series_entry *entry, const struct tr_manifest_row *row,
                               struct tr_err *err) {
    if (*row->name)
        TR_TRY(tr_strdup(&entry->name, row->name, err));
    snprintf(entry->parsed.stage, sizeof entry->parsed.stage, "%s", row->stage);
    entry->parsed.step = row->step;
    entry->parsed.tokens = row->tokens;
    entry->given = (*row->name ? TR_GIVEN_NAME : 0) | (*row->stage ? TR_GIVEN_STAGE : 0) |
                   (row->step >= 0 ? TR_GIVEN_STEP : 0) |
                   (!isnan(row->tokens) ? TR_GIVEN_TOKENS : 0);
    return TR_OK;
}

static enum tr_status add_row(struct tr_series *series, const char *folder,
                              const struct tr_manifest_row *row, struct tr_err *err) {
    char *path;
    TR_TRY(*row->path == '/' ? tr_strdup(&path, row->path, err)
                             : tr_path_join(&path, folder, row->path, err));
    int64_t before = series->count;
    enum tr_status status = add_path(series, path, err);
    free(path);
    if (status == TR_OK && series->count > before)
        status = take_row(&series->entries[before], row, err);
    return status;
}

// ---- what names and trainers say ---------------------------------------------------------------

// Where two sources disagree on a step or on tokens: the first such entry, and what both say.
struct disagreement {
    struct tr_told told;
    double name, state;
    const char *what, *file;
};

static void compare(struct disagreement *found, const struct tr_series_entry *entry,
                    const char *what, const char *file, double name, double state) {
    if (name == state)
        return;
    if (!found->told.count) {
        found->name = name;
        found->state = state;
        found->what = what;
        found->file = file;
    }
    tr_told_add(&found->told, entry);
}

// What the manifest gives stays, then what the trainer recorded counts, then the name.
static void merge(struct tr_series_entry *entry, const struct tr_name *name,
                  const struct tr_trainer_state *state, struct disagreement *found) {
    struct tr_name *parsed = &entry->parsed, given = *parsed;
    *parsed = *name;
    if (entry->given & TR_GIVEN_STAGE)
        memcpy(parsed->stage, given.stage, sizeof parsed->stage);
    if (entry->given & TR_GIVEN_STEP)
        parsed->step = given.step;
    else if (state->step >= 0) {
        if (name->step >= 0)
            compare(found, entry, "step", state->file, (double)name->step, (double)state->step);
        parsed->step = state->step;
    }
    if (entry->given & TR_GIVEN_TOKENS)
        parsed->tokens = given.tokens;
    else if (!isnan(state->tokens))
        parsed->tokens = state->tokens;
}

// The state that Hugging Face's Trainer writes, else another trainer's counters.
static enum tr_status read_state(struct tr_trainer_state *state, const char *path,
                                 struct tr_err *err) {
    TR_TRY(tr_trainer_state_read(state, path, err));
    return *state->file ? TR_OK : tr_trainer_counters_read(state, path, err);
}

static enum tr_status read_entries(struct tr_series *series, const struct tr_name_rules *rules,
                                   struct tr_err *err) {
    struct tr_told unread = {0};
    struct disagreement found = {0};
    struct tr_err why, first_why;
    const char *first_file = "";
    char names[320];
    for (int64_t i = 0; i < series->count; i++) {
        struct tr_series_entry *entry = &series->entries[i];
        struct tr_name name;
        struct tr_trainer_state state;
        TR_TRY(tr_name_parse(rules, entry->path, entry->name, &name, err));
        if (read_state(&state, entry->path, &why) != TR_OK) {
            first_why = unread.count ? first_why : why;
            first_file = unread.count ? first_file : state.file;
            tr_told_add(&unread, entry);
            state.step = -1;
            state.tokens = NAN;
        }
        merge(entry, &name, &state, &found);
    }
    if (unread.count)
        TR_TRY(tr_string_format(&series->notes, err, "left out, %s of %s: %s\n", first_file,
                                tr_told_names(&unread, names), first_why.text));
    if (!found.told.count)
        return TR_OK;
    return tr_string_format(&series->notes, err,
                            "name and %s disagree on the %s of %s: %.0f and %.0f; what the trainer "
                            "recorded counts\n",
                            found.file, found.what, tr_told_names(&found.told, names), found.name,
                            found.state);
}

// ---- putting it together -----------------------------------------------------------------------

static enum tr_status finish(struct tr_series *series, bool manifest,
                             const struct tr_series_options *options, struct tr_err *err) {
    struct tr_name_rules *rules;
    if (!series->count && series->skipped_files)
        return tr_fail(err, TR_EUSAGE,
                       "no checkpoint folder was given, only %lld plain files (the first is %s)",
                       (long long)series->skipped_files, series->first_skipped);
    if (!series->count)
        return tr_fail(err, TR_EUSAGE, "no checkpoint folder was given");
    TR_TRY(tr_name_rules_new(&rules, options->name_pattern, err));
    enum tr_status status = tr_series_name(series, rules, err);
    if (status == TR_OK)
        status = read_entries(series, rules, err);
    if (status == TR_OK)
        status = tr_series_folder_stages(series, rules, err);
    tr_name_rules_free(rules);
    TR_TRY(status);
    TR_TRY(tr_series_tell_apart(series, options->separate, err));
    return tr_series_sort(series, manifest, options, err);
}

enum tr_status tr_series_from_paths(struct tr_series *series, char *const *paths, int64_t count,
                                    const struct tr_series_options *options, struct tr_err *err) {
    struct tr_series built = {0};
    enum tr_status status;
    TR_TRY(TR_NEW(&built.entries, count, "the series", err));
    for (int64_t i = 0; i < count; i++)
        TR_GO(status, add_path(&built, paths[i], err), out);
    TR_GO(status, finish(&built, false, options, err), out);
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
                                       const struct tr_series_options *options,
                                       struct tr_err *err) {
    struct tr_series built = {0};
    struct tr_manifest manifest = {0};
    char *bytes = NULL;
    size_t size;
    enum tr_status status;
    TR_TRY(tr_file_load(manifest_path, MANIFEST_LIMIT, &bytes, &size, err));
    TR_GO(status, tr_manifest_parse(&manifest, bytes, size, manifest_path, err), out);
    if (manifest.unknown.size)
        TR_GO(status,
              tr_string_format(&built.notes, err,
                               "%s: columns that are not read: %s; path, name, stage, step and "
                               "tokens are\n",
                               manifest_path, manifest.unknown.data),
              out);
    TR_GO(status, add_rows(&built, manifest_path, &manifest, err), out);
    TR_GO(status, finish(&built, true, options, err), out);
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
    tr_string_free(&series->rule);
    tr_string_free(&series->notes);
    *series = (struct tr_series){0};
}
