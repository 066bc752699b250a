// SPDX-License-Identifier: Apache-2.0
// The files that hold a tokenizer: one row per kind, told apart by content.
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "bpe_files.h"
#include "sentencepiece.h"
#include "tiktoken.h"
#include "token_file.h"
#include "tokenizer_parts.h"

static const uint64_t file_limit = UINT64_C(512) << 20;

struct source {
    const char *bytes;
    size_t size;
    const char *path, *model_type;
};

static bool is_json(const struct source *s) {
    size_t at = 0;
    while (at < s->size && memchr("\xef\xbb\xbf \t\r\n", s->bytes[at], 7))
        at++;
    return tr_has_extension(s->path, ".json") || (at < s->size && memchr("{[", s->bytes[at], 2));
}

static bool is_pointer(const struct source *s) {
    return tr_refuse_lfs_pointer(s->path, s->bytes, s->size, NULL) != TR_OK;
}

// The first field of a SentencePiece model is its first piece.
static bool is_sentencepiece(const struct source *s) {
    return s->size && *s->bytes == '\n';
}

static bool is_ranks(const struct source *s) {
    return tr_is_tiktoken(s->bytes, s->size);
}

static bool is_anything(const struct source *s) {
    (void)s;
    return true;
}

static enum tr_status parse_parts(struct tr_tokenizer *t, const json_t *root, const char *path,
                                  struct tr_err *err) {
    const json_t *model = json_object_get(root, "model");
    if (!json_is_object(model))
        return tr_fail(err, TR_EFORMAT, "%s: no \"model\" object; not a tokenizer.json", path);
    TR_TRY(tr_normalizer_parse(&t->normalizer, json_object_get(root, "normalizer"), path, err));
    TR_TRY(tr_model_parse(&t->model, model, path, err));
    TR_TRY(
        tr_pretokenizer_parse(&t->pretokenizer, json_object_get(root, "pre_tokenizer"), path, err));
    TR_TRY(tr_template_parse(&t->template, json_object_get(root, "post_processor"), path, err));
    const json_t *added = json_object_get(root, "added_tokens");
    TR_TRY(tr_decode_steps_parse(&t->decode, json_object_get(root, "decoder"), added, path, err));
    return tr_added_tokens_parse(&t->added, added, &t->model, &t->normalizer, path, err);
}

static enum tr_status parse_json(struct tr_tokenizer *t, const struct source *s,
                                 struct tr_err *err) {
    json_t *root;
    TR_TRY(tr_json_parse(&root, s->bytes, s->size, s->path, err));
    enum tr_status status = parse_parts(t, root, s->path, err);
    json_decref(root);
    return status;
}

static enum tr_status refuse_pointer(struct tr_tokenizer *t, const struct source *s,
                                     struct tr_err *err) {
    (void)t;
    return tr_refuse_lfs_pointer(s->path, s->bytes, s->size, err);
}

static enum tr_status parse_sentencepiece(struct tr_tokenizer *t, const struct source *s,
                                          struct tr_err *err) {
    TR_TRY(tr_decode_steps_pieces(&t->decode, err));
    return tr_sentencepiece_parse(&t->model, &t->normalizer, &t->template, s->bytes, s->size,
                                  s->path, err);
}

static enum tr_status parse_ranks(struct tr_tokenizer *t, const struct source *s,
                                  struct tr_err *err) {
    TR_TRY(tr_template_parse(&t->template, NULL, s->path, err));
    TR_TRY(tr_decode_steps_bytes(&t->decode, err));
    return tr_tiktoken_parse(&t->model, &t->pretokenizer, s->bytes, s->size, s->model_type, s->path,
                             err);
}

static enum tr_status refuse_all(struct tr_tokenizer *t, const struct source *s,
                                 struct tr_err *err) {
    (void)t;
    return tr_fail(err, TR_EUNSUPPORTED,
                   "%s is no tokenizer we read: neither a tokenizer.json nor a SentencePiece model "
                   "nor a file of ranks (pass token ids instead)",
                   s->path);
}

static const struct kind {
    bool (*is)(const struct source *s);
    enum tr_status (*parse)(struct tr_tokenizer *t, const struct source *s, struct tr_err *err);
} kinds[] = {{is_pointer, refuse_pointer},
             {is_json, parse_json},
             {is_sentencepiece, parse_sentencepiece},
             {is_ranks, parse_ranks},
             {is_anything, refuse_all}};

enum tr_status tr_tokenizer_parse(struct tr_tokenizer **tokenizer_p, const char *bytes, size_t size,
                                  const char *path, const char *model_type, struct tr_err *err) {
    struct source source = {bytes, size, path, model_type};
    struct tr_tokenizer *tokenizer;
    const struct kind *kind = kinds;
    TR_TRY(TR_NEW(&tokenizer, 1, "the tokenizer", err));
    while (!kind->is(&source))
        kind++;
    enum tr_status status = kind->parse(tokenizer, &source, err);
    if (status != TR_OK) {
        tr_tokenizer_free(tokenizer);
        return status;
    }
    tr_digest_bytes(bytes, size, tokenizer->digest);
    *tokenizer_p = tokenizer;
    return TR_OK;
}

// The special tokens of a file of ranks stand in the tokenizer_config.json beside it.
static enum tr_status add_specials(struct tr_tokenizer *t, const char *path, struct tr_err *err) {
    const char *slash = strrchr(path, '/');
    struct tr_string beside = {0};
    json_t *root;
    TR_TRY(tr_string_format(&beside, err, "%.*stokenizer_config.json",
                            slash ? (int)(slash - path + 1) : 0, path));
    enum tr_status status = TR_OK;
    if (tr_file_exists(beside.data) &&
        (status = tr_json_load(&root, beside.data, file_limit, err)) == TR_OK) {
        status = tr_added_tokens_decode(&t->added, root, beside.data, err);
        json_decref(root);
    }
    tr_string_free(&beside);
    return status;
}

// vocab.json and merges.txt as the tokenizer.json that says the same.
static enum tr_status open_bpe_files(struct tr_tokenizer **tokenizer_p, const char *path,
                                     const char *model_type, struct tr_err *err) {
    json_t *document;
    TR_TRY(tr_bpe_files_load(&document, path, model_type, err));
    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    if (!text)
        return tr_fail(err, TR_ENOMEM, "not enough memory for the tokenizer of %s", path);
    enum tr_status status =
        tr_tokenizer_parse(tokenizer_p, text, strlen(text), path, model_type, err);
    free(text);
    return status;
}

enum tr_status tr_tokenizer_open(struct tr_tokenizer **tokenizer_p, const char *path,
                                 const char *model_type, struct tr_err *err) {
    if (tr_is_bpe_files(path))
        return open_bpe_files(tokenizer_p, path, model_type, err);
    char *bytes;
    size_t size;
    struct tr_tokenizer *tokenizer;
    TR_TRY(tr_file_load(path, file_limit, &bytes, &size, err));
    if (!size) {
        free(bytes);
        return tr_fail(err, TR_EFORMAT, "%s is empty: its download did not finish", path);
    }
    enum tr_status status = tr_tokenizer_parse(&tokenizer, bytes, size, path, model_type, err);
    free(bytes);
    TR_TRY(status);
    if (tokenizer->model.bpe.bytes)
        status = add_specials(tokenizer, path, err);
    if (status == TR_OK)
        *tokenizer_p = tokenizer;
    else
        tr_tokenizer_free(tokenizer);
    return status;
}

// The names of tokenizer files, what says most first. A merges.txt is none without its vocab.json.
static const char *const names[] = {"tokenizer.json", "tokenizer.model", "*.tiktoken",
                                    "merges.txt"};
enum { NAMES = sizeof names / sizeof *names };

enum tr_status tr_tokenizer_find(char **path_p, const char *folder, struct tr_err *err) {
    DIR *entries = opendir(folder);
    if (!entries)
        return tr_fail(err, TR_EIO, "cannot open the folder %s: %s", folder, strerror(errno));
    char *best = NULL;
    int rank = NAMES;
    enum tr_status status = TR_OK;
    for (struct dirent *entry; status == TR_OK && (entry = readdir(entries));)
        for (int i = 0; i < rank && status == TR_OK; i++)
            if (!fnmatch(names[i], entry->d_name, 0)) {
                free(best);
                best = NULL;
                rank = i;
                status = tr_path_join(&best, folder, entry->d_name, err);
            }
    closedir(entries);
    if (best && rank == NAMES - 1 && !tr_is_bpe_files(best)) {
        free(best);
        best = NULL;
    }
    if (status == TR_OK)
        *path_p = best;
    return status;
}
