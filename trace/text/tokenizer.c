// SPDX-License-Identifier: Apache-2.0
// tokenizer.json and its pipeline: added tokens on the raw text, normaliser, added tokens on the
// normalised text, pre-tokenizer, BPE. What follows the model (post-processor, truncation, padding)
// adds no token here and is not read.
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "added_tokens.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "bpe.h"
#include "characters.h"
#include "normalize.h"
#include "pretokenize.h"

static const uint64_t file_limit = UINT64_C(512) << 20;

struct tr_tokenizer {
    struct tr_normalizer normalizer;
    struct tr_added_tokens added;
    struct tr_pretokenizer *pretokenizer;
    struct tr_bpe bpe;
    char digest[TR_DIGEST_MAX];
};

// One text on its way to ids.
struct encoder {
    const struct tr_tokenizer *tokenizer;
    struct tr_searcher *searcher;
    struct tr_splitter *splitter;
    struct tr_bpe_scratch scratch;
    struct tr_string normalized;
    struct tr_ids *ids;
};

static enum tr_status parse_parts(struct tr_tokenizer *tokenizer, const json_t *root,
                                  const char *path, struct tr_err *err) {
    const json_t *model = json_object_get(root, "model");
    if (!json_is_object(model))
        return tr_fail(err, TR_EFORMAT, "%s: no \"model\" object; not a tokenizer.json", path);
    TR_TRY(tr_normalizer_parse(&tokenizer->normalizer, json_object_get(root, "normalizer"), path,
                               err));
    TR_TRY(tr_bpe_parse(&tokenizer->bpe, model, path, err));
    TR_TRY(tr_pretokenizer_parse(&tokenizer->pretokenizer, json_object_get(root, "pre_tokenizer"),
                                 path, err));
    return tr_added_tokens_parse(&tokenizer->added, json_object_get(root, "added_tokens"),
                                 &tokenizer->bpe.vocabulary, &tokenizer->normalizer, path, err);
}

enum tr_status tr_tokenizer_parse(struct tr_tokenizer **tokenizer_p, const char *bytes, size_t size,
                                  const char *path, struct tr_err *err) {
    json_t *root;
    TR_TRY(tr_json_parse(&root, bytes, size, path, err));
    struct tr_tokenizer *tokenizer = NULL;
    enum tr_status status = TR_NEW(&tokenizer, 1, "the tokenizer", err);
    if (status == TR_OK)
        status = parse_parts(tokenizer, root, path, err);
    json_decref(root);
    if (status != TR_OK) {
        tr_tokenizer_free(tokenizer);
        return status;
    }
    tr_digest_bytes(bytes, size, tokenizer->digest);
    *tokenizer_p = tokenizer;
    return TR_OK;
}

enum tr_status tr_tokenizer_open(struct tr_tokenizer **tokenizer_p, const char *path,
                                 struct tr_err *err) {
    char *bytes;
    size_t size;
    TR_TRY(tr_file_load(path, file_limit, &bytes, &size, err));
    enum tr_status status = tr_tokenizer_parse(tokenizer_p, bytes, size, path, err);
    free(bytes);
    return status;
}

void tr_tokenizer_free(struct tr_tokenizer *tokenizer) {
    if (!tokenizer)
        return;
    tr_added_tokens_free(&tokenizer->added);
    tr_pretokenizer_free(tokenizer->pretokenizer);
    tr_bpe_free(&tokenizer->bpe);
    free(tokenizer);
}

static enum tr_status on_word(void *user, const char *text, size_t size, struct tr_err *err) {
    struct encoder *e = user;
    return tr_bpe_word(&e->tokenizer->bpe, &e->scratch, text, size, e->ids, err);
}

static enum tr_status on_normalized(void *user, int32_t id, const char *text, size_t size,
                                    struct tr_err *err) {
    struct encoder *e = user;
    return id >= 0 ? tr_ids_append(e->ids, id, err)
                   : tr_splitter_run(e->splitter, text, size, on_word, e, err);
}

static enum tr_status on_raw(void *user, int32_t id, const char *text, size_t size,
                             struct tr_err *err) {
    struct encoder *e = user;
    if (id >= 0)
        return tr_ids_append(e->ids, id, err);
    TR_TRY(tr_normalize(&e->tokenizer->normalizer, text, size, &e->normalized, &text, &size, err));
    return tr_added_split(&e->tokenizer->added.normalized, text, size, on_normalized, e, err);
}

enum tr_status tr_tokenizer_encode(const struct tr_tokenizer *tokenizer, const char *text,
                                   size_t size, struct tr_ids *ids, struct tr_err *err) {
    if (!tr_utf8_valid(text, size))
        return tr_fail(err, TR_EFORMAT, "the text is not UTF-8 at byte %zu",
                       tr_utf8_prefix(text, size));
    struct encoder e = {.tokenizer = tokenizer, .ids = ids};
    int64_t count = ids->count;
    enum tr_status status = tr_searcher_new(&e.searcher, err);
    if (status == TR_OK)
        status = tr_splitter_new(&e.splitter, tokenizer->pretokenizer, e.searcher, err);
    if (status == TR_OK) {
        tr_searcher_allow(e.searcher, size);
        status = tr_added_split(&tokenizer->added.raw, text, size, on_raw, &e, err);
    }
    if (status != TR_OK)
        ids->count = count;
    tr_splitter_free(e.splitter);
    tr_searcher_free(e.searcher);
    tr_bpe_scratch_free(&e.scratch);
    tr_string_free(&e.normalized);
    return status;
}

int32_t tr_tokenizer_id(const struct tr_tokenizer *tokenizer, const char *token) {
    int32_t id = tr_vocabulary_find(&tokenizer->added.names, token, strlen(token));
    return id >= 0 ? id : tr_vocabulary_find(&tokenizer->bpe.vocabulary, token, strlen(token));
}

int64_t tr_tokenizer_size(const struct tr_tokenizer *tokenizer) {
    int64_t model = tokenizer->bpe.vocabulary.size, added = tokenizer->added.names.size;
    return added > model ? added : model;
}

const char *tr_tokenizer_digest(const struct tr_tokenizer *tokenizer) {
    return tokenizer->digest;
}
