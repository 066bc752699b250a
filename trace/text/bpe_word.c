// SPDX-License-Identifier: Apache-2.0
// A word to symbols before merging, and to ids after it.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bpe.h"
#include "bpe_merges.h"
#include "characters.h"
#include "model.h"

// The symbols of one word being laid out one after another.
struct layout {
    const struct tr_model *model;
    struct tr_bpe_scratch *scratch;
    const char *word;
    int32_t count;
    bool unknown; // the last character is unknown and its token not laid out yet
};

static void put(struct layout *l, struct tr_bpe_symbol symbol) {
    symbol.previous = l->count - 1;
    symbol.next = l->count + 1;
    l->scratch->symbols[l->count++] = symbol;
}

static void put_unknown(struct layout *l) {
    if (l->unknown)
        put(l, (struct tr_bpe_symbol){.id = l->model->unknown});
    l->unknown = false;
}

// The bytes of a character that is no token; false when one of them is no token either.
static bool put_bytes(struct layout *l, const char *text, size_t size) {
    const int32_t *ids = l->model->byte_ids;
    if (!l->model->byte_fallback)
        return false;
    for (size_t i = 0; i < size; i++)
        if (ids[(unsigned char)text[i]] < 0)
            return false;
    for (size_t i = 0; i < size; i++)
        put(l, (struct tr_bpe_symbol){.id = ids[(unsigned char)text[i]]});
    return true;
}

// A character of a tokenizer.json's model. As in the library, unknown ones wait for the next known
// one, so bytes of a character between them come first.
static enum tr_status put_character(struct layout *l, const char *text, size_t size,
                                    struct tr_err *err) {
    const struct tr_model *model = l->model;
    int32_t id = tr_vocabulary_find(&model->vocabulary, text, size);
    if (id >= 0) {
        put_unknown(l);
        put(l, (struct tr_bpe_symbol){.id = id});
        return TR_OK;
    }
    if (put_bytes(l, text, size))
        return TR_OK;
    if (model->missing)
        return tr_fail(err, TR_EFORMAT, "the unknown token \"%.64s\" is not in the vocabulary",
                       model->missing);
    if (l->unknown && !model->merges_unknown)
        put_unknown(l);
    l->unknown = model->unknown >= 0;
    return TR_OK;
}

// Bytes of the symbol that the word begins with at `at`, when pairs go by tokens.
static size_t symbol_size(const struct layout *l, size_t at, size_t size, bool *frozen_p) {
    const struct tr_bpe *bpe = &l->model->bpe;
    const struct tr_prefix *frozen = tr_prefix_longest(&bpe->frozen, l->word + at, size - at);
    int32_t code;
    *frozen_p = frozen != NULL;
    if (frozen)
        return frozen->size;
    size_t used = bpe->bytes ? 1 : tr_utf8_first(l->word + at, size - at, &code);
    return used ? used : 1;
}

static enum tr_status lay_out(struct layout *l, size_t size, struct tr_err *err) {
    for (size_t at = 0, used; at < size; at += used) {
        if (l->model->bpe.ranks) {
            struct tr_bpe_symbol symbol = {.start = (int32_t)at};
            used = symbol_size(l, at, size, &symbol.frozen);
            symbol.size = (int32_t)used;
            put(l, symbol);
        } else {
            int32_t code;
            used = tr_utf8_first(l->word + at, size - at, &code);
            used = used ? used : 1;
            TR_TRY(put_character(l, l->word + at, used, err));
        }
    }
    put_unknown(l);
    if (l->count)
        l->scratch->symbols[l->count - 1].next = -1;
    return TR_OK;
}

// The ids of merged texts on their way out.
struct output {
    const struct tr_model *model;
    const struct tr_bpe_scratch *scratch;
    struct tr_ids *ids;
    bool unknown; // the text before was unknown
    struct tr_err *err;
};

static enum tr_status emit_text(struct output *o, const char *text, size_t size) {
    const struct tr_model *model = o->model;
    int32_t id = tr_vocabulary_find(&model->reserved, text, size);
    if (id < 0)
        id = tr_vocabulary_find(&model->vocabulary, text, size);
    if (id < 0 || id == model->unknown) {
        TR_TRY(tr_model_unknown(model, text, size, o->unknown, o->ids, o->err));
        o->unknown = true;
        return TR_OK;
    }
    if (model->bpe.unused && model->bpe.unused[id]) {
        size_t left = (size_t)o->scratch->left_sizes[id];
        if (left > 0 && left < size) { // it was merged, so its parts are known
            TR_TRY(emit_text(o, text, left));
            return emit_text(o, text + left, size - left);
        }
    }
    o->unknown = false;
    return tr_ids_append(o->ids, id, o->err);
}

static enum tr_status emit_all(struct output *o, const char *word, int32_t count) {
    const struct tr_bpe_symbol *symbols = o->scratch->symbols;
    for (int32_t i = 0; i >= 0 && i < count; i = symbols[i].next)
        TR_TRY(o->model->bpe.ranks ? emit_text(o, word + symbols[i].start, (size_t)symbols[i].size)
                                   : tr_ids_append(o->ids, symbols[i].id, o->err));
    return TR_OK;
}

enum tr_status tr_bpe_word(const struct tr_model *model, struct tr_bpe_scratch *scratch,
                           const char *word, size_t size, struct tr_ids *ids, struct tr_err *err) {
    if (size > INT32_MAX / 4)
        return tr_fail(err, TR_EUNSUPPORTED, "a word of %zu bytes is more than BPE can merge",
                       size);
    if (model->bpe.ignore_merges) {
        int32_t id = tr_vocabulary_find(&model->vocabulary, word, size);
        if (id >= 0)
            return tr_ids_append(ids, id, err);
    }
    TR_TRY(tr_grow((void **)&scratch->symbols, &scratch->symbol_capacity, size + 1,
                   sizeof *scratch->symbols, "a word", err));
    struct layout layout = {.model = model, .scratch = scratch, .word = word};
    TR_TRY(lay_out(&layout, size, err));
    TR_TRY(tr_bpe_merge(model, scratch, word, layout.count, err));
    struct output output = {model, scratch, ids, false, err};
    return emit_all(&output, word, layout.count);
}
