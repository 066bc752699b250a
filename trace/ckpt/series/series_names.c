// SPDX-License-Identifier: Apache-2.0
// What each folder of a series is called.
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/training_order.h"
#include "hub_refs.h"
#include "series_steps.h"

// Folders that trainers and converters put below a checkpoint's own.
static bool is_layout(const char *name) {
    static const char *const words[] = {
        "hf",         "hf_model",  "hf-model",     "hf_ckpt", "hf-ckpt",       "hf_checkpoint",
        "hf_weights", "hf_format", "huggingface",  "actor",   "consolidated",  "model",
        "weights",    "policy",    "checkpoint",   "ckpt",    "export",        "exported",
        "converted",  "default",   "transformers", "params",  "safetensors",   "pytorch_model",
        "items",      "critic",    "policy_model", "merged",  "hf_model_bf16", "fp32",
        "fp16",       "bf16",      "float32",      "float16", "bfloat16"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcasecmp(name, words[i]))
            return true;
    return false;
}

// The last component, of the resolved path where the given one ends in none ("." or "..").
static enum tr_status last_component(char **name_p, const char *path, struct tr_err *err) {
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

static enum tr_status tells_time(bool *tells_p, const struct tr_name_rules *rules, const char *name,
                                 struct tr_err *err) {
    struct tr_name parsed;
    TR_TRY(tr_name_parse(rules, name, name, &parsed, err));
    *tells_p = parsed.step >= 0 || !isnan(parsed.tokens);
    return TR_OK;
}

// Takes the name of a folder above that tells a step or tokens, across folders of layout only.
static enum tr_status climb(struct tr_series_entry *entry, const struct tr_name_rules *rules,
                            struct tr_err *err) {
    char *path, *slash;
    bool tells = false;
    TR_TRY(tr_strdup(&path, entry->path, err));
    enum tr_status status = TR_OK;
    const char *name = entry->name;
    while (status == TR_OK && !tells && is_layout(name) && (slash = strrchr(path, '/'))) {
        *slash = 0;
        slash = strrchr(path, '/');
        name = slash ? slash + 1 : path;
        status = tells_time(&tells, rules, name, err);
    }
    char *found = NULL;
    if (status == TR_OK && tells && tr_utf8_valid(name, strlen(name)))
        status = tr_strdup(&found, name, err);
    free(path);
    if (found) {
        free(entry->name);
        entry->name = found;
    }
    return status;
}

// ---- entries whose last components are equal ---------------------------------------------------

static int compare_names(const void *a, const void *b) {
    return strcmp((*(struct tr_series_entry *const *)a)->name,
                  (*(struct tr_series_entry *const *)b)->name);
}

static bool have_equal_names(struct tr_series_entry **list, int64_t count) {
    qsort(list, (size_t)count, sizeof *list, compare_names);
    for (int64_t i = 1; i < count; i++)
        if (!compare_names(&list[i - 1], &list[i]))
            return true;
    return false;
}

// How many bytes of whole components two paths share at their beginning and at their end.
static void shared_ends(const char *a, const char *b, size_t *head_p, size_t *tail_p) {
    size_t a_size = strlen(a), b_size = strlen(b), head = 0, tail = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++)
        if (a[i] == '/')
            head = i + 1;
    for (size_t i = 1; i <= a_size && i <= b_size && a[a_size - i] == b[b_size - i]; i++)
        if (a[a_size - i] == '/')
            tail = i;
    *head_p = *head_p < head ? *head_p : head;
    *tail_p = *tail_p < tail ? *tail_p : tail;
}

// How many bytes of the path stand behind the folder that a climb has found; all where it found
// none.
static size_t behind_name(const struct tr_series_entry *entry) {
    size_t size = strlen(entry->path), name = strlen(entry->name);
    for (size_t end = size; end > name; end--)
        if ((end == size || entry->path[end] == '/') && entry->path[end - name - 1] == '/' &&
            !memcmp(entry->path + end - name, entry->name, name))
            return end == size ? size : size - end;
    return size;
}

// What is between, as a name; NULL when there is nothing.
static enum tr_status middle(char **name_p, const char *path, size_t head, size_t tail,
                             struct tr_err *err) {
    size_t size = strlen(path);
    *name_p = NULL;
    if (head + tail >= size)
        return TR_OK;
    TR_TRY(tr_strdup(name_p, path + head, err));
    (*name_p)[size - head - tail] = 0;
    for (char *c = *name_p; (c = strchr(c, '/'));)
        *c = '-';
    return TR_OK;
}

static enum tr_status name_by_difference(struct tr_series_entry **list, int64_t count,
                                         struct tr_err *err) {
    size_t head = SIZE_MAX, tail = SIZE_MAX;
    for (int64_t i = 1; i < count; i++)
        shared_ends(list[0]->path, list[i]->path, &head, &tail);
    for (int64_t i = 0; i < count; i++)
        tail = tail < behind_name(list[i]) ? tail : behind_name(list[i]);
    for (int64_t i = 0; i < count; i++)
        if (head + tail >= strlen(list[i]->path))
            return TR_OK;
    for (int64_t i = 0; i < count; i++) {
        char *name;
        TR_TRY(middle(&name, list[i]->path, head, tail, err));
        if (name && *name && tr_utf8_valid(name, strlen(name))) {
            free(list[i]->name);
            list[i]->name = name;
        } else {
            free(name);
        }
    }
    return TR_OK;
}

// Entries [0, count) have the same last component, which tells neither step nor tokens.
static enum tr_status name_group(struct tr_series_entry **list, int64_t count,
                                 const struct tr_name_rules *rules, struct tr_err *err) {
    for (int64_t i = 0; i < count; i++)
        TR_TRY(climb(list[i], rules, err));
    return have_equal_names(list, count) ? name_by_difference(list, count, err) : TR_OK;
}

// Whether a new name tells time where the old one did.
static enum tr_status tells_as_before(bool *tells_p, const struct tr_name_rules *rules,
                                      const char *before, const char *now, struct tr_err *err) {
    TR_TRY(tells_time(tells_p, rules, now, err));
    if (*tells_p)
        return TR_OK;
    TR_TRY(tells_time(tells_p, rules, before, err));
    *tells_p = !*tells_p;
    return TR_OK;
}

// Names by what differs where equal ones tell a step (stage1/step100, stage2/step100), unless that
// would lose one (folders of the Hub's cache are called by their branch).
static enum tr_status name_equal_steps(struct tr_series_entry **list, int64_t count,
                                       const struct tr_name_rules *rules, struct tr_err *err) {
    char **before;
    bool tells = true;
    TR_TRY(TR_NEW(&before, count, "names of checkpoints", err));
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < count && status == TR_OK; i++)
        status = tr_strdup(&before[i], list[i]->name, err);
    if (status == TR_OK)
        status = name_by_difference(list, count, err);
    for (int64_t i = 0; i < count && status == TR_OK && tells; i++)
        status = tells_as_before(&tells, rules, before[i], list[i]->name, err);
    for (int64_t i = 0; i < count; i++) {
        char *unused = tells || status != TR_OK ? before[i] : list[i]->name;
        list[i]->name = unused == before[i] ? list[i]->name : before[i];
        free(unused);
    }
    free(before);
    return status;
}

static enum tr_status name_groups(struct tr_series_entry **list, int64_t count,
                                  const struct tr_name_rules *rules, struct tr_err *err) {
    bool tells, equal_steps = false;
    qsort(list, (size_t)count, sizeof *list, compare_names);
    for (int64_t first = 0, end; first < count; first = end) {
        for (end = first + 1; end < count && !compare_names(&list[first], &list[end]);)
            end++;
        TR_TRY(tells_time(&tells, rules, list[first]->name, err));
        equal_steps = equal_steps || (tells && end - first > 1);
        if (!tells)
            TR_TRY(name_group(list + first, end - first, rules, err));
    }
    return equal_steps ? name_equal_steps(list, count, rules, err) : TR_OK;
}

static enum tr_status refuse_equal_names(struct tr_series_entry **list, int64_t count,
                                         struct tr_err *err) {
    qsort(list, (size_t)count, sizeof *list, compare_names);
    for (int64_t i = 1; i < count; i++)
        if (!compare_names(&list[i - 1], &list[i]))
            return tr_fail(err, TR_EUSAGE,
                           "%s and %s have the same name, and a trace knows its checkpoints by "
                           "name: give them a \"name\" in a manifest",
                           list[i - 1]->path, list[i]->path);
    return TR_OK;
}

// By the branch where it lies in the Hub's cache, else by the last component.
static enum tr_status name_alone(struct tr_series_entry *entry, struct tr_hub_refs *refs,
                                 struct tr_err *err) {
    const char *branch;
    TR_TRY(tr_hub_branch(refs, entry->path, &branch, err));
    return branch ? tr_strdup(&entry->name, branch, err)
                  : last_component(&entry->name, entry->path, err);
}

static int compare_paths(const void *a, const void *b) {
    return strcmp((*(struct tr_series_entry *const *)a)->path,
                  (*(struct tr_series_entry *const *)b)->path);
}

static bool lies_in(const struct tr_series_entry *entry, const char *folder, size_t size) {
    return !strncmp(entry->path, folder, size) && entry->path[size] == '/';
}

// Where each checkpoint is a repository of the Hub, all are of a branch called main: the
// repository's name tells them apart.
static enum tr_status name_by_repository(struct tr_series_entry **list, int64_t count,
                                         struct tr_err *err) {
    qsort(list, (size_t)count, sizeof *list, compare_paths);
    for (int64_t i = 0; i < count && count > 1; i++) {
        size_t length;
        const char *path = list[i]->path, *found = tr_hub_repository(path, &length);
        size_t folder = found ? (size_t)(found - path) + length : 0;
        if (!found || (i && lies_in(list[i - 1], path, folder)) ||
            (i + 1 < count && lies_in(list[i + 1], path, folder)) ||
            (!tr_names_the_end(list[i]->name) &&
             strcmp(list[i]->name, path + folder + strlen("/snapshots/"))))
            continue;
        char *name = strndup(found, length);
        if (!name)
            return tr_fail(err, TR_ENOMEM, "no memory for the name of %s", path);
        free(list[i]->name);
        list[i]->name = name;
    }
    return TR_OK;
}

enum tr_status tr_series_name(struct tr_series *series, const struct tr_name_rules *rules,
                              struct tr_err *err) {
    struct tr_series_entry **list;
    struct tr_hub_refs refs = {0};
    int64_t unnamed = 0;
    TR_TRY(tr_series_list(&list, series, err));
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < series->count && status == TR_OK; i++) {
        struct tr_series_entry *entry = &series->entries[i];
        if (entry->given & TR_GIVEN_NAME)
            continue;
        list[unnamed++] = entry;
        status = name_alone(entry, &refs, err);
    }
    tr_hub_refs_free(&refs);
    if (status == TR_OK)
        status = name_by_repository(list, unnamed, err);
    if (status == TR_OK)
        status = name_groups(list, unnamed, rules, err);
    for (int64_t i = 0; i < series->count; i++)
        list[i] = &series->entries[i];
    if (status == TR_OK)
        status = refuse_equal_names(list, series->count, err);
    free(list);
    return status;
}
