// SPDX-License-Identifier: Apache-2.0
#include "added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "characters.h"

static int compare(const void *a, const void *b) {
    const struct tr_added_token *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

// Sorts the set and notes where each first byte begins. No text may stand twice.
static enum tr_status finish(struct tr_added_set *set, const char *what, struct tr_err *err) {
    if (set->count)
        qsort(set->tokens, set->count, sizeof *set->tokens, compare);
    for (uint64_t i = 1; i < set->count; i++)
        if (!compare(&set->tokens[i - 1], &set->tokens[i]))
            return tr_fail(err, TR_EFORMAT, "%s: added tokens %d and %d match the same text", what,
                           set->tokens[i - 1].id, set->tokens[i].id);
    for (uint64_t i = 0; i < set->count; i++)
        set->first[(unsigned char)set->tokens[i].text[0] + 1]++;
    for (int byte = 0; byte < 256; byte++)
        set->first[byte + 1] += set->first[byte];
    return TR_OK;
}

static enum tr_status add(struct tr_added_set *set, struct tr_added_token token, const char *text,
                          size_t size, struct tr_err *err) {
    TR_TRY(tr_grow((void **)&set->tokens, &set->capacity, set->count + 1, sizeof *set->tokens,
                   "added tokens", err));
    TR_TRY(TR_NEW(&token.text, size + 1, "an added token", err));
    memcpy(token.text, text, size);
    token.size = size;
    set->tokens[set->count++] = token;
    return TR_OK;
}

struct parser {
    struct tr_added_tokens *added;
    const struct tr_vocabulary *vocabulary; // of the model
    const struct tr_normalizer *normalizer;
    int64_t next_id;
    const char *what;
    struct tr_err *err;
};

// The library ignores the id in the file: a token keeps the one it has in the vocabulary, or gets
// the next free one. Where the two differ, nobody can know which the model was trained with.
static enum tr_status settle_id(struct parser *p, const char *text, size_t size, int64_t id) {
    int32_t known = tr_vocabulary_find(&p->added->names, text, size);
    if (known < 0)
        known = tr_vocabulary_find(p->vocabulary, text, size);
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
    struct tr_string memory = {0};
    enum tr_status status = tr_normalize(p->normalizer, text, size, &memory, &text, &size, p->err);
    if (status == TR_OK)
        status = add(&p->added->normalized, token, text, size, p->err);
    tr_string_free(&memory);
    return status;
}

static enum tr_status parse_one(struct parser *p, const json_t *value) {
    const json_t *content = json_object_get(value, "content");
    struct tr_added_token token = {0};
    int64_t id = -1;
    bool special = false;
    if (!json_is_string(content))
        return tr_fail(p->err, TR_EFORMAT, "%s: an added token needs a string \"content\"",
                       p->what);
    const char *text = json_string_value(content);
    size_t size = json_string_length(content);
    if (!size)
        return TR_OK;
    TR_TRY(tr_json_i64(value, "id", &id, p->what, p->err));
    TR_TRY(tr_json_bool(value, "special", &special, p->what, p->err));
    bool normalized = !special;
    TR_TRY(tr_json_bool(value, "normalized", &normalized, p->what, p->err));
    TR_TRY(tr_json_bool(value, "single_word", &token.single_word, p->what, p->err));
    TR_TRY(tr_json_bool(value, "lstrip", &token.lstrip, p->what, p->err));
    TR_TRY(tr_json_bool(value, "rstrip", &token.rstrip, p->what, p->err));
    TR_TRY(settle_id(p, text, size, id));
    token.id = (int32_t)id;
    return normalized ? add_normalized(p, token, text, size)
                      : add(&p->added->raw, token, text, size, p->err);
}

enum tr_status tr_added_tokens_parse(struct tr_added_tokens *added, const json_t *value,
                                     const struct tr_vocabulary *vocabulary,
                                     const struct tr_normalizer *normalizer, const char *what,
                                     struct tr_err *err) {
    struct parser p = {added, vocabulary, normalizer, (int64_t)vocabulary->count, what, err};
    if (value && !json_is_null(value) && !json_is_array(value))
        return tr_fail(err, TR_EFORMAT, "%s: \"added_tokens\" must be an array", what);
    for (size_t i = 0; i < json_array_size(value); i++)
        TR_TRY(parse_one(&p, json_array_get(value, i)));
    TR_TRY(finish(&added->raw, what, err));
    return finish(&added->normalized, what, err);
}

static void free_set(struct tr_added_set *set) {
    for (uint64_t i = 0; i < set->count; i++)
        free(set->tokens[i].text);
    free(set->tokens);
}

void tr_added_tokens_free(struct tr_added_tokens *added) {
    free_set(&added->raw);
    free_set(&added->normalized);
    tr_vocabulary_free(&added->names);
    *added = (struct tr_added_tokens){0};
}

// The first index in [low, high) whose byte at `depth` is at least `byte`. All are longer.
static uint64_t lower_bound(const struct tr_added_set *set, uint64_t low, uint64_t high,
                            size_t depth, int byte) {
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if ((unsigned char)set->tokens[middle].text[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// The longest token that text[0, size), which is not empty, starts with: narrows the sorted set
// byte by byte. NULL when there is none.
static const struct tr_added_token *longest_at(const struct tr_added_set *set, const char *text,
                                               size_t size) {
    const struct tr_added_token *longest = NULL;
    uint64_t low = set->first[(unsigned char)*text], high = set->first[(unsigned char)*text + 1];
    for (size_t depth = 1; low < high; depth++) {
        if (set->tokens[low].size == depth)
            longest = &set->tokens[low++];
        if (depth == size)
            break;
        low = lower_bound(set, low, high, depth, (unsigned char)text[depth]);
        high = lower_bound(set, low, high, depth, (unsigned char)text[depth] + 1);
    }
    return longest;
}

enum tr_status tr_added_split(const struct tr_added_set *set, const char *text, size_t size,
                              tr_added_fn *emit, void *user, struct tr_err *err) {
    size_t done = 0; // what was handed out; may go back when stripped spaces held another token
    for (size_t at = 0; set->count && at < size;) {
        const struct tr_added_token *token = longest_at(set, text + at, size - at);
        if (!token) {
            at++;
            continue;
        }
        size_t start = at, stop = at + token->size;
        at = stop;
        if (token->single_word &&
            (tr_ends_with_word(text, start) || tr_starts_with_word(text + stop, size - stop)))
            continue;
        if (token->lstrip)
            start -= tr_spaces_at_end(text, start);
        if (token->rstrip)
            stop += tr_spaces_at_start(text + stop, size - stop);
        if (done < start)
            TR_TRY(emit(user, -1, text + done, start - done, err));
        TR_TRY(emit(user, token->id, NULL, 0, err));
        done = stop;
    }
    return done < size ? emit(user, -1, text + done, size - done, err) : TR_OK;
}
