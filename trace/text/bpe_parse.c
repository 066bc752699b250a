// SPDX-License-Identifier: Apache-2.0
// The "model" object of a tokenizer.json: vocabulary, merges in both spellings, options.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "bpe.h"
#include "bpe_merges.h"
#include "model.h"

enum { TOKEN_SHOWN = 64 }; // bytes of a token quoted in a sentence

static enum tr_status parse_vocabulary(struct tr_vocabulary *texts, const json_t *model,
                                       const char *what, struct tr_err *err) {
    json_t *vocabulary = json_object_get(model, "vocab"), *value;
    const char *token;
    if (!json_is_object(vocabulary))
        return tr_fail(err, TR_EFORMAT, "%s: \"vocab\" of the model must be an object", what);
    json_object_foreach(vocabulary, token, value) {
        json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || id >= INT32_MAX)
            return tr_fail(err, TR_EFORMAT,
                           "%s: the id of token \"%.*s\" must be an integer from 0 to 2147483646",
                           what, TOKEN_SHOWN, token);
        TR_TRY(tr_vocabulary_add(texts, token, strlen(token), (int32_t)id, err));
    }
    return TR_OK;
}

struct span {
    const char *text;
    size_t size;
};

// A merge is "left right" or ["left", "right"].
static bool merge_parts(const json_t *value, struct span *left, struct span *right) {
    const json_t *first = json_array_get(value, 0), *second = json_array_get(value, 1);
    if (json_is_string(value)) {
        const char *text = json_string_value(value), *end = text + json_string_length(value);
        const char *space = memchr(text, ' ', (size_t)(end - text));
        if (!space || memchr(space + 1, ' ', (size_t)(end - space - 1)))
            return false;
        *left = (struct span){text, (size_t)(space - text)};
        *right = (struct span){space + 1, (size_t)(end - space - 1)};
        return true;
    }
    *left = (struct span){json_string_value(first), json_string_length(first)};
    *right = (struct span){json_string_value(second), json_string_length(second)};
    return json_array_size(value) == 2 && json_is_string(first) && json_is_string(second);
}

static enum tr_status add_merge(struct tr_model *model, const json_t *value, int32_t rank,
                                struct tr_string *joined, const char *what, struct tr_err *err) {
    struct span parts[3]; // left, right, both
    if (!merge_parts(value, &parts[0], &parts[1]))
        return tr_fail(err, TR_EFORMAT,
                       "%s: merge %d must be two tokens, as \"a b\" or [\"a\", \"b\"]", what, rank);
    joined->size = 0;
    TR_TRY(tr_string_append(joined, parts[0].text, parts[0].size, err));
    TR_TRY(tr_string_append(joined, parts[1].text, parts[1].size, err));
    parts[2] = (struct span){joined->data, joined->size};
    int32_t ids[3];
    for (int i = 0; i < 3; i++) {
        ids[i] = tr_vocabulary_find(&model->vocabulary, parts[i].text, parts[i].size);
        if (ids[i] < 0)
            return tr_fail(
                err, TR_EFORMAT,
                "%s: merge %d needs the token \"%.*s\", which is not in the vocabulary", what, rank,
                (int)(parts[i].size < TOKEN_SHOWN ? parts[i].size : TOKEN_SHOWN), parts[i].text);
    }
    tr_merges_set(&model->bpe, (struct tr_merge){ids[0], ids[1], rank, ids[2]});
    return TR_OK;
}

static enum tr_status parse_merges(struct tr_model *model, const json_t *object, const char *what,
                                   struct tr_err *err) {
    const json_t *merges = json_object_get(object, "merges");
    if (!json_is_array(merges) || json_array_size(merges) >= INT32_MAX)
        return tr_fail(err, TR_EFORMAT, "%s: \"merges\" of the model must be an array", what);
    TR_TRY(tr_merges_reserve(&model->bpe, json_array_size(merges), err));
    struct tr_string joined = {0};
    enum tr_status status = TR_OK;
    int32_t rank = 0;
    for (size_t i = 0; i < json_array_size(merges) && status == TR_OK; i++) {
        const json_t *value = json_array_get(merges, i);
        const char *text = json_string_value(value);
        if (text && !strncmp(text, "#version", strlen("#version")))
            continue; // the first line of a merges.txt, kept by some converters
        status = add_merge(model, value, rank++, &joined, what, err);
    }
    tr_string_free(&joined);
    return status;
}

static enum tr_status unsupported(const char *option, const char *what, struct tr_err *err) {
    return tr_fail(err, TR_EUNSUPPORTED,
                   "%s: its BPE model uses \"%s\", which is not supported (pass token ids instead)",
                   what, option);
}

static enum tr_status parse_unknown(struct tr_model *model, const json_t *object, const char *what,
                                    struct tr_err *err) {
    const char *unknown = NULL;
    TR_TRY(tr_json_string(object, "unk_token", &unknown, what, err));
    TR_TRY(tr_json_bool(object, "fuse_unk", &model->merges_unknown, what, err));
    TR_TRY(tr_json_bool(object, "byte_fallback", &model->byte_fallback, what, err));
    tr_model_find_bytes(model, &model->vocabulary);
    if (!unknown)
        return TR_OK;
    model->unknown = tr_vocabulary_find(&model->vocabulary, unknown, strlen(unknown));
    return model->unknown >= 0 ? TR_OK : tr_strdup(&model->missing, unknown, err);
}

static enum tr_status parse_options(struct tr_model *model, const json_t *object, const char *what,
                                    struct tr_err *err) {
    const char *prefix = "", *suffix = "";
    double dropout = 0;
    TR_TRY(tr_json_string(object, "continuing_subword_prefix", &prefix, what, err));
    TR_TRY(tr_json_string(object, "end_of_word_suffix", &suffix, what, err));
    TR_TRY(tr_json_f64(object, "dropout", &dropout, what, err));
    TR_TRY(tr_json_bool(object, "ignore_merges", &model->bpe.ignore_merges, what, err));
    if (*prefix)
        return unsupported("continuing_subword_prefix", what, err);
    if (*suffix)
        return unsupported("end_of_word_suffix", what, err);
    if (dropout != 0)
        return unsupported("dropout", what, err);
    return TR_OK;
}

enum tr_status tr_bpe_parse(struct tr_model *model, const json_t *value, const char *what,
                            struct tr_err *err) {
    TR_TRY(parse_vocabulary(&model->vocabulary, value, what, err));
    TR_TRY(parse_merges(model, value, what, err));
    TR_TRY(parse_options(model, value, what, err));
    return parse_unknown(model, value, what, err);
}
