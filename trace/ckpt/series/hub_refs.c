// SPDX-License-Identifier: Apache-2.0
#include "hub_refs.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strings.h"
#include "base/training_order.h"

enum { COMMIT = 40, REF_LIMIT = 4096, DEEPEST = 4 };

struct tr_hub_ref {
    char commit[COMMIT + 1];
    char *branch;
};

static void forget(struct tr_hub_refs *refs) {
    while (refs->count)
        free(refs->list[--refs->count].branch);
    free(refs->folder);
    refs->folder = NULL;
}

void tr_hub_refs_free(struct tr_hub_refs *refs) {
    forget(refs);
    free(refs->list);
    *refs = (struct tr_hub_refs){0};
}

// The commit that ends a path to a snapshot; NULL when it is none.
static const char *commit_of(const char *path) {
    static const char parent[] = "snapshots/";
    const char *slash = strrchr(path, '/'), *commit = slash ? slash + 1 : path;
    size_t before = (size_t)(commit - path), size = sizeof parent - 1;
    if (strlen(commit) != COMMIT || strspn(commit, "0123456789abcdef") != COMMIT || before < size ||
        memcmp(commit - size, parent, size))
        return NULL;
    return commit;
}

static enum tr_status add_ref(struct tr_hub_refs *refs, const char *path, const char *branch,
                              struct tr_err *err) {
    char *bytes;
    size_t size;
    struct stat info;
    if (stat(path, &info) || !S_ISREG(info.st_mode) ||
        tr_file_load(path, REF_LIMIT, &bytes, &size, NULL) != TR_OK)
        return TR_OK; // such a file names no commit
    enum tr_status status = TR_OK;
    if (size >= COMMIT && strspn(bytes, "0123456789abcdef") == COMMIT) {
        status = tr_grow((void **)&refs->list, &refs->capacity, (uint64_t)refs->count + 1,
                         sizeof *refs->list, "branches", err);
        if (status == TR_OK) {
            struct tr_hub_ref *ref = &refs->list[refs->count];
            memcpy(ref->commit, bytes, COMMIT);
            ref->commit[COMMIT] = 0;
            status = tr_strdup(&ref->branch, branch, err);
            refs->count += status == TR_OK;
        }
    }
    free(bytes);
    return status;
}

static enum tr_status read_refs(struct tr_hub_refs *refs, const char *folder, const char *before,
                                int depth, struct tr_err *err);

// A branch, or a folder of those with a slash in their names, which becomes a '-'.
static enum tr_status read_entry(struct tr_hub_refs *refs, const char *folder, const char *before,
                                 const char *name, int depth, struct tr_err *err) {
    struct tr_string path = {0}, branch = {0};
    struct stat info;
    enum tr_status status = tr_string_format(&path, err, "%s/%s", folder, name);
    if (status == TR_OK)
        status = tr_string_format(&branch, err, "%s%s%s", before, *before ? "-" : "", name);
    if (status == TR_OK && !stat(path.data, &info) && S_ISDIR(info.st_mode) && depth < DEEPEST)
        status = read_refs(refs, path.data, branch.data, depth + 1, err);
    else if (status == TR_OK)
        status = add_ref(refs, path.data, branch.data, err);
    tr_string_free(&path);
    tr_string_free(&branch);
    return status;
}

// In refs/refs are those who ask for a change; they are no branches.
static enum tr_status read_refs(struct tr_hub_refs *refs, const char *path, const char *before,
                                int depth, struct tr_err *err) {
    DIR *folder = opendir(path);
    enum tr_status status = TR_OK;
    if (!folder)
        return TR_OK;
    for (struct dirent *entry; status == TR_OK && (entry = readdir(folder));)
        if (*entry->d_name != '.' && (depth || strcmp(entry->d_name, "refs")))
            status = read_entry(refs, path, before, entry->d_name, depth, err);
    closedir(folder);
    return status;
}

// Reads the folder of branches unless it was the last that was read.
static enum tr_status turn_to(struct tr_hub_refs *refs, const char *path, size_t root,
                              struct tr_err *err) {
    struct tr_string folder = {0};
    TR_TRY(tr_string_format(&folder, err, "%.*srefs", (int)root, path));
    if (refs->folder && !strcmp(refs->folder, folder.data)) {
        tr_string_free(&folder);
        return TR_OK;
    }
    forget(refs);
    refs->folder = folder.data;
    return read_refs(refs, refs->folder, "", 0, err);
}

static bool is_better(const char *branch, const char *than) {
    if (!than || tr_names_the_end(branch) != tr_names_the_end(than))
        return !than || tr_names_the_end(than);
    return tr_natural_compare(branch, than) < 0;
}

enum tr_status tr_hub_branch(struct tr_hub_refs *refs, const char *path, const char **branch_p,
                             struct tr_err *err) {
    const char *commit = commit_of(path);
    *branch_p = NULL;
    if (!commit)
        return TR_OK;
    TR_TRY(turn_to(refs, path, (size_t)(commit - path) - strlen("snapshots/"), err));
    for (int64_t i = 0; i < refs->count; i++) {
        const struct tr_hub_ref *ref = &refs->list[i];
        if (!memcmp(ref->commit, commit, COMMIT) &&
            tr_utf8_valid(ref->branch, strlen(ref->branch)) && is_better(ref->branch, *branch_p))
            *branch_p = ref->branch;
    }
    return TR_OK;
}

const char *tr_hub_repository(const char *path, size_t *length_p) {
    static const char between[] = "/snapshots/", models[] = "models--";
    const char *commit = commit_of(path), *name;
    if (!commit || (size_t)(commit - path) < sizeof between)
        return NULL;
    const char *end = commit - (sizeof between - 1);
    for (name = end; name > path && name[-1] != '/';)
        name--;
    if (*end != '/' || strncmp(name, models, sizeof models - 1))
        return NULL;
    for (const char *at = name; (at = strstr(at, "--")) && at < end; at += 2)
        name = at + 2;
    *length_p = (size_t)(end - name);
    return *length_p ? name : NULL;
}
