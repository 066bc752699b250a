// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"

struct tr_model_type {
    const char *name;
    enum tr_status (*parse)(struct tr_model *model, const json_t *value, const char *what,
                            struct tr_err *err);
    enum tr_status (*word)(const struct tr_model *model, struct tr_model_scratch *scratch,
                           const char *word, size_t size, struct tr_ids *ids, struct tr_err *err);
};

static enum tr_status bpe_word(const struct tr_model *model, struct tr_model_scratch *scratch,
                               const char *word, size_t size, struct tr_ids *ids,
                               struct tr_err *err) {
    return tr_bpe_word(model, &scratch->bpe, word, size, ids, err);
}

static enum tr_status unigram_word(const struct tr_model *model, struct tr_model_scratch *scratch,
                                   const char *word, size_t size, struct tr_ids *ids,
                                   struct tr_err *err) {
    return tr_unigram_word(model, &scratch->unigram, word, size, ids, err);
}

static const struct tr_model_type types[] = {{"BPE", tr_bpe_parse, bpe_word},
                                             {"Unigram", tr_unigram_parse, unigram_word}};

const struct tr_model_type *tr_model_type_find(const char *name) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name))
            return &types[i];
    return NULL;
}

int64_t tr_model_size(const struct tr_model *model) {
    const struct tr_vocabulary *v = &model->vocabulary;
    return model->unigram.scores ? v->size : (int64_t)v->count;
}

// Old files leave the type out.
static const char *guess_type(const json_t *value) {
    return json_is_array(json_object_get(value, "vocab")) ? "Unigram" : "BPE";
}

enum tr_status tr_model_parse(struct tr_model *model, const json_t *value, const char *what,
                              struct tr_err *err) {
    const char *name = guess_type(value);
    TR_TRY(tr_json_string(value, "type", &name, what, err));
    model->type = tr_model_type_find(name);
    model->unknown = -1;
    if (!model->type)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: the tokenizer model \"%.64s\" is not supported; known: BPE, Unigram "
                       "(pass token ids instead)",
                       what, name);
    return model->type->parse(model, value, what, err);
}

void tr_model_free(struct tr_model *model) {
    tr_vocabulary_free(&model->vocabulary);
    tr_vocabulary_free(&model->reserved);
    free(model->missing);
    tr_bpe_free(&model->bpe);
    tr_unigram_free(&model->unigram);
    *model = (struct tr_model){0};
}

bool tr_model_find_bytes(struct tr_model *model, const struct tr_vocabulary *texts) {
    bool complete = true;
    for (int byte = 0; byte < 256; byte++) {
        char name[8];
        int size = snprintf(name, sizeof name, "<0x%02X>", (unsigned)byte);
        model->byte_ids[byte] = tr_vocabulary_find(texts, name, (size_t)size);
        complete &= model->byte_ids[byte] >= 0;
    }
    return complete;
}

enum tr_status tr_model_word(const struct tr_model *model, struct tr_model_scratch *scratch,
                             const char *word, size_t size, struct tr_ids *ids,
                             struct tr_err *err) {
    return size ? model->type->word(model, scratch, word, size, ids, err) : TR_OK;
}

void tr_model_scratch_free(struct tr_model_scratch *scratch) {
    tr_bpe_scratch_free(&scratch->bpe);
    free(scratch->unigram.nodes);
    scratch->unigram = (struct tr_unigram_scratch){0};
}

static bool has_bytes(const struct tr_model *model, const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (model->byte_ids[(unsigned char)text[i]] < 0)
            return false;
    return model->byte_fallback;
}

enum tr_status tr_model_unknown(const struct tr_model *model, const char *text, size_t size,
                                bool again, struct tr_ids *ids, struct tr_err *err) {
    if (has_bytes(model, text, size)) {
        for (size_t i = 0; i < size; i++)
            TR_TRY(tr_ids_append(ids, model->byte_ids[(unsigned char)text[i]], err));
        return TR_OK;
    }
    if (model->unknown < 0 || (again && model->merges_unknown))
        return TR_OK;
    return tr_ids_append(ids, model->unknown, err);
}

enum tr_status tr_ids_append(struct tr_ids *ids, int32_t id, struct tr_err *err) {
    TR_TRY(tr_grow((void **)&ids->ids, &ids->capacity, (uint64_t)ids->count + 1, sizeof *ids->ids,
                   "token ids", err));
    ids->ids[ids->count++] = id;
    return TR_OK;
}
