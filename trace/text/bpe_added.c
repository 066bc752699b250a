// SPDX-License-Identifier: Apache-2.0
// Which tokens are cut out of the text before it is split: added_tokens_decoder, or
// added_tokens.json and special_tokens_map.json, in the order in which transformers adds them.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/strings.h"
#include "bpe_joiner.h"

// In the order in which transformers numbers those that the vocabulary lacks.
static const char *const named[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
enum { NAMED = sizeof named / sizeof *named };

json_t *tr_bpe_content(const json_t *token) {
    json_t *content = json_is_string(token) ? (json_t *)token : json_object_get(token, "content");
    return json_is_string(content) ? content : NULL;
}

// The list of further special tokens, NULL for none; the newer key counts.
static enum tr_status find_further(const struct tr_bpe_joiner *j, const json_t *object,
                                   const json_t **list_p) {
    static const char *const keys[] = {"extra_special_tokens", "additional_special_tokens"};
    for (int i = 0; i < 2 && !json_array_size(*list_p); i++)
        TR_TRY(tr_json_list(object, keys[i], list_p, j->what, j->err));
    return TR_OK;
}

static enum tr_status mark_special(const struct tr_bpe_joiner *j, const json_t *token) {
    const char *text = json_string_value(tr_bpe_content(token));
    return text && json_object_set_new(j->special, text, json_true()) ? tr_bpe_no_memory(j) : TR_OK;
}

// Which tokens are special, whatever is said where they get their ids.
static enum tr_status mark_all_special(const struct tr_bpe_joiner *j) {
    const json_t *further = NULL;
    for (int i = 0; i < NAMED; i++)
        TR_TRY(mark_special(j, json_object_get(j->settings, named[i])));
    if (j->numbered)
        return TR_OK;
    TR_TRY(find_further(j, j->files->config, &further));
    for (size_t i = 0; i < json_array_size(further); i++)
        TR_TRY(mark_special(j, json_array_get(further, i)));
    return TR_OK;
}

// An entry of "added_tokens".
static enum tr_status append(struct tr_bpe_joiner *j, const json_t *token, json_t *content,
                             bool special, json_int_t id) {
    json_t *entry = json_is_object(token) ? json_copy((json_t *)token) : json_object();
    if (json_array_append_new(j->tokens, entry) || json_object_set(entry, "content", content) ||
        json_object_set_new(entry, "id", json_integer(id)) ||
        json_object_set_new(entry, "special", json_boolean(special)) ||
        json_object_set_new(j->places, json_string_value(content),
                            json_integer((json_int_t)json_array_size(j->tokens) - 1)))
        return tr_bpe_no_memory(j);
    return TR_OK;
}

json_t *tr_bpe_find_added(const struct tr_bpe_joiner *j, const char *text) {
    const json_t *place = json_object_get(j->places, text);
    return place ? json_array_get(j->tokens, (size_t)json_integer_value(place)) : NULL;
}

// How a token is matched; what is not special is matched in normalised text unless it says no.
static unsigned flags_of(const json_t *token, bool special) {
    static const char *const keys[] = {"lstrip", "rstrip", "single_word", "normalized"};
    unsigned flags = 0;
    for (unsigned i = 0; i < 4; i++) {
        const json_t *flag = json_object_get(token, keys[i]);
        bool absent = !flag || json_is_null(flag);
        flags |= (unsigned)(json_is_true(flag) || (absent && i == 3 && !special)) << i;
    }
    return flags;
}

// A special token that stands twice must be matched in one way. transformers takes what the files
// say that give ids; but in some classes its versions differ in what it does then.
static enum tr_status check_again(const struct tr_bpe_joiner *j, const json_t *token,
                                  const char *text) {
    const json_t *entry = tr_bpe_find_added(j, text);
    bool special = json_is_true(json_object_get(entry, "special"));
    bool given = json_integer_value(json_object_get(j->places, text)) < j->given;
    unsigned flags = flags_of(entry, special);
    if (j->class->plain ? special && !flags : given || flags == flags_of(token, true))
        return TR_OK;
    return tr_fail(j->err, TR_EUNSUPPORTED,
                   "%s: versions of transformers differ in how they match the special token "
                   "\"%.64s\" (pass token ids instead)",
                   j->what, text);
}

// Adds a token once. `id`: the one that a file gives it, -1: the vocabulary's, or the next.
static enum tr_status add(struct tr_bpe_joiner *j, const json_t *token, const char *key,
                          bool special, json_int_t id) {
    json_t *content = tr_bpe_content(token);
    const char *text = json_string_value(content);
    if (!content || strlen(text) != json_string_length(content))
        return tr_fail(j->err, TR_EFORMAT, "%s: \"%.64s\" must be a token, or an object with one",
                       j->what, key);
    if (!*text || (tr_bpe_find_added(j, text) && id >= 0))
        return TR_OK;
    const json_t *known = json_object_get(j->files->vocabulary, text);
    special = special || json_is_true(json_object_get(token, "special")) ||
              json_object_get(j->special, text);
    if (!tr_bpe_find_added(j, text)) {
        json_int_t next = known ? json_integer_value(known) : j->next_id++;
        TR_TRY(append(j, token, content, special, id >= 0 ? id : next));
    }
    return id < 0 ? check_again(j, token, text) : TR_OK;
}

// A token of one of the two files that give ids.
struct numbered {
    int64_t id;
    const char *key;
    json_t *token; // a reference of its own
};

static int by_id(const void *a, const void *b) {
    const struct numbered *left = a, *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

// {"ID": token} of added_tokens_decoder, or {"TOKEN": id} of added_tokens.json.
static enum tr_status read_numbered(const struct tr_bpe_joiner *j, const char *key, json_t *value,
                                    struct numbered *n) {
    *n = (struct numbered){.key = key};
    if (!j->numbered && json_is_integer(value)) {
        n->id = json_integer_value(value);
        n->token = json_string(key);
        return n->token ? TR_OK : tr_bpe_no_memory(j);
    }
    if (!j->numbered || !tr_parse_i64(key, 0, INT32_MAX - 1, &n->id))
        return tr_fail(j->err, TR_EFORMAT,
                       "%s: \"%.64s\" must be the id of an added token, or have one", j->what, key);
    n->token = json_incref(value);
    return TR_OK;
}

static enum tr_status add_sorted(struct tr_bpe_joiner *j, struct numbered *list, size_t count) {
    if (count)
        qsort(list, count, sizeof *list, by_id);
    for (size_t i = 0; i < count; i++)
        TR_TRY(add(j, list[i].token, list[i].key, false, list[i].id));
    return TR_OK;
}

static enum tr_status add_numbered(struct tr_bpe_joiner *j, const json_t *tokens) {
    struct numbered *list;
    size_t count = 0;
    const char *key;
    json_t *value;
    TR_TRY(TR_NEW(&list, json_object_size(tokens) + 1, "added tokens", j->err));
    enum tr_status status = TR_OK;
    json_object_foreach((json_t *)tokens, key, value) {
        status = read_numbered(j, key, value, &list[count]);
        if (status != TR_OK)
            break;
        count++;
    }
    if (status == TR_OK)
        status = add_sorted(j, list, count);
    for (size_t i = 0; i < count; i++)
        json_decref(list[i].token);
    free(list);
    return status;
}

static enum tr_status add_named(struct tr_bpe_joiner *j) {
    for (int i = 0; i < NAMED; i++) {
        const json_t *token = json_object_get(j->settings, named[i]);
        if (token && !json_is_null(token))
            TR_TRY(add(j, token, named[i], true, -1));
    }
    return TR_OK;
}

static enum tr_status add_further(struct tr_bpe_joiner *j) {
    const json_t *list = NULL;
    TR_TRY(find_further(j, j->settings, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *token = json_array_get(list, i);
        TR_TRY(add(j, token, "additional_special_tokens", json_is_string(token), -1));
    }
    return TR_OK;
}

// transformers makes special tokens of further keys, too, in an order of its own.
static enum tr_status check_others(const struct tr_bpe_joiner *j) {
    const char *key;
    json_t *value;
    json_object_foreach(j->settings, key, value) {
        size_t size = strlen(key);
        if (size > 6 && !strcmp(key + size - 6, "_token") && json_is_string(value) &&
            !json_object_get(j->places, json_string_value(value)))
            return tr_bpe_unsupported(j, key);
    }
    return TR_OK;
}

enum tr_status tr_bpe_put_tokens(struct tr_bpe_joiner *j) {
    j->tokens = json_array();
    j->places = json_object();
    j->special = json_object();
    j->next_id = (json_int_t)json_object_size(j->files->vocabulary);
    TR_TRY(tr_bpe_put(j, "added_tokens", j->tokens));
    TR_TRY(mark_all_special(j));
    TR_TRY(add_numbered(j, j->numbered ? j->numbered : j->files->added));
    j->given = (json_int_t)json_array_size(j->tokens);
    TR_TRY(add_named(j));
    TR_TRY(add_further(j));
    return check_others(j);
}
