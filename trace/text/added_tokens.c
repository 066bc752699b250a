// SPDX-License-Identifier: Apache-2.0
#include "added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "characters.h"

struct parser {
    struct tr_added_tokens *added;
    const struct tr_model *model;
    const struct tr_normalizer *normalizer;
    int64_t next_id;
    const char *what;
    struct tr_err *err;
};

// No text may stand twice.
static enum tr_status finish(struct tr_added_set *set, const char *what, struct tr_err *err) {
    const struct tr_prefix *twice = tr_prefix_finish(&set->texts);
    if (!twice)
        return TR_OK;
    return tr_fail(err, TR_EFORMAT, "%s: added tokens %d and %d match the same text", what,
                   set->tokens[twice[0].value].id, set->tokens[twice[1].value].id);
}

static enum tr_status add(struct parser *p, struct tr_added_set *set, struct tr_added_token token,
                          const char *text, size_t size) {
    if (!size || set->count >= INT32_MAX)
        return tr_fail(p->err, TR_EUNSUPPORTED,
                       "%s: the normalizer leaves nothing of the added token with id %d", p->what,
                       token.id);
    TR_TRY(tr_grow((void **)&set->tokens, &set->capacity, set->count + 1, sizeof *set->tokens,
                   "added tokens", p->err));
    TR_TRY(tr_prefix_add(&set->texts, text, size, (int32_t)set->count, "an added token", p->what,
                         p->err));
    set->tokens[set->count++] = token;
    return TR_OK;
}

// The library ignores the id in the file: a token keeps the one it has in the vocabulary, or gets
// the next free one. Where the two differ, nobody can know which the model was trained with.
static enum tr_status settle_id(struct parser *p, const char *text, size_t size, int64_t id) {
    int32_t known = tr_vocabulary_find(&p->added->names, text, size);
    if (known < 0)
        known = tr_vocabulary_find(&p->model->vocabulary, text, size);
    int64_t expected = known >= 0 ? known : p->next_id;
    if (id != expected || id >= INT32_MAX)
        return tr_fail(p->err, TR_EFORMAT,
                       "%s: the added token with id %lld would get id %lld from the Hugging Face "
                       "library, which numbers added tokens itself",
                       p->what, (long long)id, (long long)expected);
    if (known >= 0)
        return TR_OK;
    p->next_id++;
    return tr_vocabulary_add(&p->added->names, text, size, (int32_t)id, p->err);
}

// Adds a token in the form it is matched in.
static enum tr_status add_normalized(struct parser *p, struct tr_added_token token,
                                     const char *text, size_t size) {
    struct tr_normal_memory memory = {0};
    struct tr_normal_text normal;
    TR_TRY(tr_searcher_new(&memory.searcher, p->err));
    tr_searcher_allow(memory.searcher, size);
    enum tr_status status = tr_normalize(p->normalizer, text, size, &memory, &normal, p->err);
    if (status == TR_OK)
        status = add(p, &p->added->normalized, token, normal.text, normal.size);
    tr_searcher_free(memory.searcher);
    tr_normal_memory_free(&memory);
    return status;
}

// What is matched, and how.
static enum tr_status parse_token(struct parser *p, const json_t *value,
                                  struct tr_added_token *token, const json_t **content_p) {
    *content_p = json_object_get(value, "content");
    if (!json_is_string(*content_p))
        return tr_fail(p->err, TR_EFORMAT, "%s: an added token needs a string \"content\"",
                       p->what);
    TR_TRY(tr_json_bool(value, "single_word", &token->single_word, p->what, p->err));
    TR_TRY(tr_json_bool(value, "lstrip", &token->lstrip, p->what, p->err));
    return tr_json_bool(value, "rstrip", &token->rstrip, p->what, p->err);
}

static enum tr_status parse_one(struct parser *p, const json_t *value) {
    const json_t *content;
    struct tr_added_token token = {0};
    int64_t id = -1;
    bool special = false;
    TR_TRY(parse_token(p, value, &token, &content));
    const char *text = json_string_value(content);
    size_t size = json_string_length(content);
    if (!size)
        return TR_OK;
    TR_TRY(tr_json_i64(value, "id", &id, p->what, p->err));
    TR_TRY(tr_json_bool(value, "special", &special, p->what, p->err));
    bool normalized = !special;
    TR_TRY(tr_json_bool(value, "normalized", &normalized, p->what, p->err));
    TR_TRY(settle_id(p, text, size, id));
    token.id = (int32_t)id;
    return normalized ? add_normalized(p, token, text, size)
                      : add(p, &p->added->raw, token, text, size);
}

enum tr_status tr_added_tokens_parse(struct tr_added_tokens *added, const json_t *value,
                                     const struct tr_model *model,
                                     const struct tr_normalizer *normalizer, const char *what,
                                     struct tr_err *err) {
    struct parser p = {added, model, normalizer, tr_model_size(model), what, err};
    if (value && !json_is_null(value) && !json_is_array(value))
        return tr_fail(err, TR_EFORMAT, "%s: \"added_tokens\" must be an array", what);
    for (size_t i = 0; i < json_array_size(value); i++)
        TR_TRY(parse_one(&p, json_array_get(value, i)));
    TR_TRY(finish(&added->raw, what, err));
    return finish(&added->normalized, what, err);
}

static enum tr_status decode_one(struct parser *p, const char *key, const json_t *value) {
    struct tr_added_token token = {0};
    const json_t *content;
    int64_t id;
    TR_TRY(parse_token(p, value, &token, &content));
    if (!tr_parse_i64(key, 0, INT32_MAX - 1, &id))
        return tr_fail(p->err, TR_EFORMAT, "%s: \"%.64s\" is no token id", p->what, key);
    const char *text = json_string_value(content);
    size_t size = json_string_length(content);
    token.id = (int32_t)id;
    TR_TRY(add(p, &p->added->raw, token, text, size));
    return tr_vocabulary_add(&p->added->names, text, size, token.id, p->err);
}

enum tr_status tr_added_tokens_decode(struct tr_added_tokens *added, const json_t *root,
                                      const char *what, struct tr_err *err) {
    struct parser p = {.added = added, .what = what, .err = err};
    json_t *tokens = json_object_get(root, "added_tokens_decoder"), *value;
    const char *key;
    json_object_foreach(tokens, key, value) TR_TRY(decode_one(&p, key, value));
    return finish(&added->raw, what, err);
}

static void free_set(struct tr_added_set *set) {
    tr_prefix_free(&set->texts);
    free(set->tokens);
}

void tr_added_tokens_free(struct tr_added_tokens *added) {
    free_set(&added->raw);
    free_set(&added->normalized);
    tr_vocabulary_free(&added->names);
    *added = (struct tr_added_tokens){0};
}

// Where a token that takes the spaces before it begins, but for those that were handed out.
static size_t start_of(const char *text, size_t done, size_t start) {
    return done < start ? start - tr_spaces_at_end(text + done, start - done) : done;
}

// A token that strips may stand in spaces that were stripped before: no space is looked at twice.
enum tr_status tr_added_split(const struct tr_added_set *set, const char *text, size_t size,
                              tr_added_fn *emit, void *user, struct tr_err *err) {
    size_t done = 0; // what was handed out; may go back when stripped spaces held another token
    size_t spaces_end = 0; // of the last spaces stripped behind a token
    for (size_t at = 0; set->count && at < size;) {
        const struct tr_prefix *found = tr_prefix_longest(&set->texts, text + at, size - at);
        if (!found) {
            at++;
            continue;
        }
        const struct tr_added_token *token = &set->tokens[found->value];
        size_t start = at, stop = at + found->size;
        at = stop;
        if (token->single_word &&
            (tr_ends_with_word(text, start) || tr_starts_with_word(text + stop, size - stop)))
            continue;
        if (token->lstrip)
            start = start_of(text, done, start);
        if (token->rstrip && stop >= spaces_end)
            spaces_end = stop + tr_spaces_at_start(text + stop, size - stop);
        if (token->rstrip)
            stop = spaces_end;
        if (start >= stop)
            continue; // all of it was stripped behind the token before
        if (done < start)
            TR_TRY(emit(user, -1, text + done, start - done, err));
        TR_TRY(emit(user, token->id, NULL, 0, err));
        done = stop;
    }
    return done < size ? emit(user, -1, text + done, size - done, err) : TR_OK;
}
