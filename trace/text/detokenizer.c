// SPDX-License-Identifier: Apache-2.0
#include "text/detokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tokenizer_parts.h"

struct token {
    const char *text; // NULL: no token, or a special one
    size_t size;
};

struct tr_detokenizer {
    const struct tr_decode_steps *steps;
    struct token *tokens; // [size]
    int64_t size;
};

// Texts that begin with `prefix`.
static void take(struct tr_detokenizer *d, const struct tr_vocabulary *vocabulary,
                 const char *prefix) {
    size_t size = strlen(prefix);
    for (uint64_t i = 0; i < vocabulary->count; i++) {
        const struct tr_vocabulary_entry *entry = &vocabulary->entries[i];
        const char *text = vocabulary->text.data + entry->offset;
        if (entry->id >= 0 && entry->id < d->size && entry->size >= size &&
            !memcmp(text, prefix, size))
            d->tokens[entry->id] = (struct token){text, entry->size};
    }
}

enum tr_status tr_detokenizer_new(struct tr_detokenizer **detokenizer_p,
                                  const struct tr_tokenizer *t, struct tr_err *err) {
    struct tr_detokenizer *d;
    if (t->decode.refused)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "the tokenizer turns ids into text by \"%s\", which is not run",
                       t->decode.refused);
    TR_TRY(TR_NEW(&d, 1, "the detokenizer", err));
    d->steps = &t->decode;
    d->size = tr_tokenizer_size(t);
    enum tr_status status = TR_NEW(&d->tokens, d->size, "the detokenizer", err);
    if (status != TR_OK) {
        tr_detokenizer_free(d);
        return status;
    }
    take(d, &t->model.vocabulary, "");
    take(d, &t->model.reserved, "<0x"); // bytes; the others are no text
    take(d, &t->added.names, "");
    for (int64_t i = 0; i < t->decode.special.count; i++)
        if (t->decode.special.ids[i] < d->size)
            d->tokens[t->decode.special.ids[i]] = (struct token){NULL, 0};
    *detokenizer_p = d;
    return TR_OK;
}

void tr_detokenizer_free(struct tr_detokenizer *d) {
    if (!d)
        return;
    free(d->tokens);
    free(d);
}

enum tr_status tr_detokenize(const struct tr_detokenizer *d, const int32_t *ids, int64_t count,
                             struct tr_string *text, struct tr_err *err) {
    struct tr_pieces_of_text pieces = {0};
    enum tr_status status = tr_string_append(text, "", 0, err);
    for (int64_t i = 0; i < count && status == TR_OK; i++)
        if (ids[i] >= 0 && ids[i] < d->size && d->tokens[ids[i]].text)
            status =
                tr_pieces_of_text_add(&pieces, d->tokens[ids[i]].text, d->tokens[ids[i]].size, err);
    if (status == TR_OK && pieces.count)
        status = tr_decode_steps_run(d->steps, &pieces, err);
    if (status == TR_OK && pieces.text.size)
        status = tr_string_append(text, pieces.text.data, pieces.text.size, err);
    tr_pieces_of_text_free(&pieces);
    return status;
}
