// SPDX-License-Identifier: Apache-2.0
// vocab.json and merges.txt, and what stands beside them, from a folder.
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "bpe_files.h"

// Published files have a tenth of it; a line of a few bytes takes some 70 in memory.
static const uint64_t file_limit = UINT64_C(64) << 20;

static enum tr_status name_beside(struct tr_string *beside, const char *path, const char *name,
                                  struct tr_err *err) {
    const char *slash = strrchr(path, '/');
    beside->size = 0;
    return tr_string_format(beside, err, "%.*s%s", slash ? (int)(slash - path + 1) : 0, path, name);
}

bool tr_is_bpe_files(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *other = !strcmp(name, "vocab.json")   ? "merges.txt"
                        : !strcmp(name, "merges.txt") ? "vocab.json"
                                                      : NULL;
    struct tr_string beside = {0};
    bool both =
        other && name_beside(&beside, path, other, NULL) == TR_OK && tr_file_exists(beside.data);
    tr_string_free(&beside);
    return both;
}

// The value of a file beside `path`; NULL when it need not be there and is not.
static enum tr_status load_json(json_t **value_p, const char *path, const char *name, bool needed,
                                struct tr_err *err) {
    struct tr_string beside = {0};
    enum tr_status status = name_beside(&beside, path, name, err);
    if (status == TR_OK && (needed || tr_file_exists(beside.data)))
        status = tr_json_load(value_p, beside.data, file_limit, err);
    tr_string_free(&beside);
    return status;
}

static enum tr_status load_merges(char **bytes_p, size_t *size_p, const char *path,
                                  struct tr_err *err) {
    struct tr_string beside = {0};
    enum tr_status status = name_beside(&beside, path, "merges.txt", err);
    if (status == TR_OK)
        status = tr_file_load(beside.data, file_limit, bytes_p, size_p, err);
    tr_string_free(&beside);
    return status;
}

enum tr_status tr_bpe_files_load(json_t **document_p, const char *path, const char *model_type,
                                 struct tr_err *err) {
    static const char *const names[] = {"vocab.json", "tokenizer_config.json",
                                        "special_tokens_map.json", "added_tokens.json"};
    json_t *values[4] = {0};
    char *merges = NULL;
    size_t size = 0;
    enum tr_status status = TR_OK;
    for (int i = 0; i < 4 && status == TR_OK; i++)
        status = load_json(&values[i], path, names[i], i == 0, err);
    if (status == TR_OK)
        status = load_merges(&merges, &size, path, err);
    const struct tr_bpe_files files = {values[0], merges,    size,      values[1],
                                       values[2], values[3], model_type};
    if (status == TR_OK)
        status = tr_bpe_files_join(document_p, &files, path, err);
    for (int i = 0; i < 4; i++)
        json_decref(values[i]);
    free(merges);
    return status;
}
