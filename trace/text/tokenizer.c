// SPDX-License-Identifier: Apache-2.0
// Encoding: one text through the pipeline.
#include "tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "characters.h"
#include "tokenizer_parts.h"

// One text on its way to ids.
struct encoder {
    const struct tr_tokenizer *tokenizer;
    struct tr_searcher *searcher;
    struct tr_splitter *splitter;
    struct tr_model_scratch scratch;
    struct tr_normal_memory normalized;
    const char *text;             // all of it
    struct tr_normal_text normal; // the piece at hand; its lead is 0 unless the text begins with it
    struct tr_ids *ids;
};

void tr_tokenizer_free(struct tr_tokenizer *tokenizer) {
    if (!tokenizer)
        return;
    tr_added_tokens_free(&tokenizer->added);
    tr_normalizer_free(&tokenizer->normalizer);
    tr_pretokenizer_free(tokenizer->pretokenizer);
    tr_model_free(&tokenizer->model);
    tr_template_free(&tokenizer->template);
    tr_decode_steps_free(&tokenizer->decode);
    free(tokenizer);
}

static enum tr_status on_word(void *user, const char *text, size_t size, struct tr_err *err) {
    struct encoder *e = user;
    return tr_model_word(&e->tokenizer->model, &e->scratch, text, size, e->ids, err);
}

static enum tr_status on_normalized(void *user, int32_t id, const char *text, size_t size,
                                    struct tr_err *err) {
    struct encoder *e = user;
    if (id >= 0)
        return tr_ids_append(e->ids, id, err);
    size_t at = (size_t)(text - e->normal.text), lead = e->normal.lead;
    lead = lead > at ? lead - at : 0;
    return tr_splitter_run(e->splitter, text, size, lead, on_word, e, err);
}

static enum tr_status on_raw(void *user, int32_t id, const char *text, size_t size,
                             struct tr_err *err) {
    struct encoder *e = user;
    if (id >= 0)
        return tr_ids_append(e->ids, id, err);
    TR_TRY(tr_normalize(&e->tokenizer->normalizer, text, size, &e->normalized, &e->normal, err));
    if (text != e->text)
        e->normal.lead = 0;
    return tr_added_split(&e->tokenizer->added.normalized, e->normal.text, e->normal.size,
                          on_normalized, e, err);
}

static enum tr_status encode(struct encoder *e, const char *text, size_t size, struct tr_err *err) {
    TR_TRY(tr_searcher_new(&e->searcher, err));
    TR_TRY(tr_splitter_new(&e->splitter, e->tokenizer->pretokenizer, e->searcher, err));
    tr_searcher_allow(e->searcher, size);
    e->normalized.searcher = e->searcher;
    return tr_added_split(&e->tokenizer->added.raw, text, size, on_raw, e, err);
}

enum tr_status tr_tokenizer_encode(const struct tr_tokenizer *tokenizer, const char *text,
                                   size_t size, struct tr_ids *ids, struct tr_err *err) {
    if (!tr_utf8_valid(text, size))
        return tr_fail(err, TR_EFORMAT, "the text is not UTF-8 at byte %zu",
                       tr_utf8_prefix(text, size));
    struct encoder e = {.tokenizer = tokenizer, .text = text, .ids = ids};
    int64_t count = ids->count;
    enum tr_status status = encode(&e, text, size, err);
    if (status != TR_OK)
        ids->count = count;
    tr_splitter_free(e.splitter);
    tr_searcher_free(e.searcher);
    tr_model_scratch_free(&e.scratch);
    tr_normal_memory_free(&e.normalized);
    return status;
}

enum tr_status tr_tokenizer_begin(const struct tr_tokenizer *tokenizer, struct tr_ids *ids,
                                  struct tr_err *err) {
    const struct tr_ids *begin = &tokenizer->template.begin;
    if (!begin->count)
        return tr_fail(err, TR_EUSAGE, "the tokenizer names no token that begins a text");
    for (int64_t i = 0; i < begin->count; i++)
        TR_TRY(tr_ids_append(ids, begin->ids[i], err));
    return TR_OK;
}

int32_t tr_tokenizer_id(const struct tr_tokenizer *tokenizer, const char *token) {
    const struct tr_vocabulary *const places[] = {
        &tokenizer->added.names, &tokenizer->model.vocabulary, &tokenizer->model.reserved};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int32_t id = tr_vocabulary_find(places[i], token, strlen(token));
        if (id >= 0)
            return id;
    }
    return -1;
}

int64_t tr_tokenizer_size(const struct tr_tokenizer *tokenizer) {
    int64_t model = tokenizer->model.vocabulary.size, added = tokenizer->added.names.size;
    return added > model ? added : model;
}

const char *tr_tokenizer_digest(const struct tr_tokenizer *tokenizer) {
    return tokenizer->digest;
}

const char *tr_tokenizer_template(const struct tr_tokenizer *tokenizer) {
    return tokenizer->template.whole.data;
}
