// SPDX-License-Identifier: Apache-2.0
// The calibration text as token ids, by the tokenizer of the series.
#include "tokenize.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "text/tokenizer.h"
#include "text/tokenizer_place.h"

// Whether the file at `path`, where there is one, holds the same bytes as the first one's.
static bool same_tokenizer(const char *path, const struct stat *first, const char *digest) {
    enum { LIMIT = 256 << 20 };
    char *bytes, other[TR_DIGEST_MAX];
    size_t size;
    struct stat info;
    if (stat(path, &info) || (info.st_dev == first->st_dev && info.st_ino == first->st_ino) ||
        tr_file_load(path, LIMIT, &bytes, &size, NULL) != TR_OK)
        return true;
    tr_digest_bytes(bytes, size, other);
    free(bytes);
    return strcmp(other, digest) == 0;
}

// The tokenizers of the series must be the same file, or one text would be many.
static enum tr_status check_tokenizers(const struct tr_job *job, const char *first_path,
                                       const char *digest, struct tr_err *err) {
    const char *name = strrchr(first_path, '/') + 1;
    struct stat first = {0};
    stat(first_path, &first); // it was just read; without it every file is read
    for (int64_t i = 0; i < job->series.count; i++) {
        char *path;
        TR_TRY(tr_path_join(&path, job->series.entries[i].path, name, err));
        enum tr_status status =
            same_tokenizer(path, &first, digest)
                ? TR_OK
                : tr_fail(err, TR_EUSAGE,
                          "the tokenizer changes within the series: %s differs from %s; give "
                          "token ids with --tokens",
                          path, first_path);
        free(path);
        TR_TRY(status);
    }
    return TR_OK;
}

// The path of the tokenizer, and a line that says whose it is unless it is the first checkpoint's.
static enum tr_status place_tokenizer(const struct tr_job *job, int64_t first, char **path_p,
                                      struct tr_string *notes, struct tr_err *err) {
    const struct tr_series *s = &job->series;
    const char **folders, *own = s->entries[first].path;
    if (job->settings->tokenizer)
        return tr_tokenizer_given(path_p, job->settings->tokenizer, err);
    TR_TRY(TR_NEW(&folders, s->count, "the series' folders", err));
    for (int64_t i = 0; i < s->count; i++)
        folders[i] = s->entries[i].path;
    enum tr_status status = tr_tokenizer_place(path_p, folders, s->count, first, err);
    free(folders);
    TR_TRY(status);
    size_t size = strlen(own);
    bool is_own =
        !strncmp(*path_p, own, size) && (*path_p)[size] == '/' && !strchr(*path_p + size + 1, '/');
    return is_own ? TR_OK
                  : tr_string_format(notes, err, "%s has no tokenizer; taken is %s\n",
                                     s->entries[first].name, *path_p);
}

static enum tr_status tokenize_with(struct tr_job *job, const char *path,
                                    const struct tr_calibration_options *options,
                                    struct tr_err *err) {
    struct tr_tokenizer *tokenizer;
    TR_TRY(tr_tokenizer_open(&tokenizer, path, job->first.config.family->model_type, err));
    int32_t separator = job->first.config.end_of_sequence;
    if (separator < 0)
        separator = tr_tokenizer_id(tokenizer, "<|endoftext|>");
    enum tr_status status = job->settings->tokenizer
                                ? TR_OK
                                : check_tokenizers(job, path, tr_tokenizer_digest(tokenizer), err);
    if (status == TR_OK && separator < 0)
        status =
            tr_fail(err, TR_EUSAGE,
                    "the model names no end-of-sequence token (eos_token_id in config.json) to "
                    "put between documents; give token ids with --tokens");
    if (status == TR_OK && job->settings->texts)
        status =
            tr_calibration_from_texts(&job->calibration, job->settings->text, job->settings->texts,
                                      tokenizer, separator, options, err);
    else if (status == TR_OK)
        status = tr_calibration_from_builtin(&job->calibration, tokenizer, separator, options, err);
    if (status == TR_OK)
        status = tr_run_info_text(&job->info, TR_RECORDED, "tokenizer_digest",
                                  tr_tokenizer_digest(tokenizer), err);
    if (status == TR_OK)
        status = tr_run_info_text(&job->info, TR_RECORDED, "tokenizer_template",
                                  tr_tokenizer_template(tokenizer), err);
    tr_tokenizer_free(tokenizer);
    return status;
}

enum tr_status tr_job_tokenize(struct tr_job *job, int64_t first,
                               const struct tr_calibration_options *options,
                               struct tr_string *notes, struct tr_err *err) {
    char *path = NULL;
    TR_TRY(place_tokenizer(job, first, &path, notes, err));
    enum tr_status status = tokenize_with(job, path, options, err);
    free(path);
    return status;
}
