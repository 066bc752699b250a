// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer_place.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strings.h"
#include "text/tokenizer.h"

// The folder that the path names as the one above: "run" of "run/step_100", and ".." of "..".
static enum tr_status parent_of(char **parent_p, const char *folder, struct tr_err *err) {
    char *name;
    TR_TRY(tr_path_name(&name, folder, err));
    bool dots = !strcmp(name, ".") || !strcmp(name, "..");
    free(name);
    if (dots)
        return tr_path_join(parent_p, folder, "..", err);
    const char *slash = strrchr(folder, '/');
    TR_TRY(tr_strdup(parent_p, slash == folder ? "/" : slash ? folder : ".", err));
    if (slash && slash > folder)
        (*parent_p)[slash - folder] = 0;
    return TR_OK;
}

// A folder above that cannot be looked into has none.
static enum tr_status find_above(char **path_p, const char *folder, struct tr_err *err) {
    char *parent;
    TR_TRY(parent_of(&parent, folder, err));
    if (tr_tokenizer_find(path_p, parent, NULL) != TR_OK)
        *path_p = NULL;
    free(parent);
    return TR_OK;
}

// What of a tokenizer lies in the folder in a form that is not read; NULL for nothing.
static const char *other_form(const char *folder) {
    static const char *const names[] = {"tekken.json", "spiece.model", "sentencepiece.bpe.model",
                                        "vocab.json",  "merges.txt",   "vocab.txt"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path;
        if (tr_path_join(&path, folder, names[i], NULL) != TR_OK)
            return NULL;
        bool there = tr_file_exists(path);
        free(path);
        if (there)
            return names[i];
    }
    return NULL;
}

enum tr_status tr_tokenizer_place(char **path_p, const char *const *folders, int64_t count,
                                  int64_t first, struct tr_err *err) {
    TR_TRY(tr_tokenizer_find(path_p, folders[first], err));
    if (!*path_p)
        TR_TRY(find_above(path_p, folders[first], err));
    for (int64_t i = 0; i < count && !*path_p; i++)
        TR_TRY(tr_tokenizer_find(path_p, folders[i], err));
    if (*path_p)
        return TR_OK;
    const char *other = other_form(folders[first]);
    return tr_fail(
        err, TR_EUSAGE,
        "%s/tokenizer.json does not exist%s%s%s, so no text can be tokenised; give token ids with "
        "--tokens, or name a tokenizer with --tokenizer (nor has the folder above or "
        "another checkpoint one)",
        folders[first], other ? " (" : "", other ? other : "",
        other ? " alone is not read: transformers' save_pretrained writes one)" : "");
}

enum tr_status tr_tokenizer_given(char **path_p, const char *given, struct tr_err *err) {
    if (!tr_is_folder(given))
        return tr_strdup(path_p, given, err);
    TR_TRY(tr_tokenizer_find(path_p, given, err));
    return *path_p ? TR_OK : tr_fail(err, TR_EUSAGE, "the folder %s has no tokenizer", given);
}
