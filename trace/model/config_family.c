// SPDX-License-Identifier: Apache-2.0
// Which family's row config.json is read by, and what is refused of it before a number is read.
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "ckpt/packed_scheme.h"
#include "config_source.h"

const json_t *tr_config_holder(const char **key_p, const json_t *root) {
    const char *dot = *key_p ? strchr(*key_p, '.') : NULL;
    char outer[64];
    if (!dot)
        return root;
    snprintf(outer, sizeof outer, "%.*s", (int)(dot - *key_p), *key_p);
    *key_p = dot + 1;
    return json_object_get(root, outer);
}

enum tr_status tr_condition_holds(const struct tr_condition *condition, bool *holds_p,
                                  const struct tr_config_source *from) {
    double found = condition->fallback;
    const char *key = condition->key;
    const json_t *holder = tr_config_holder(&key, from->root);
    *holds_p = !condition->key;
    if (!condition->key)
        return TR_OK;
    const json_t *value = json_object_get(holder, key);
    if (json_is_boolean(value))
        found = json_boolean_value(value);
    else
        TR_TRY(tr_json_f64(holder, key, &found, from->path, from->err));
    *holds_p =
        condition->value == TR_OTHER ? found != condition->fallback : found == condition->value;
    return TR_OK;
}

// Types that people ask for and that are not run, with the reason.
static const struct {
    const char *type, *reason;
} not_run[] = {
    {"gemma3n",
     "its blocks keep several residual streams (AltUp), so a sublayer adds to none alone"},
    {"gemma3n_text", "its blocks keep several residual streams (AltUp), so a sublayer adds to none "
                     "alone"},
    {"yulanmini", "learned multipliers beside its matrices"},
};

static enum tr_status refuse_by_name(const char *type, const struct tr_config_source *from) {
    for (size_t i = 0; i < sizeof not_run / sizeof *not_run; i++)
        if (strcmp(not_run[i].type, type) == 0)
            return tr_fail(from->err, TR_EUNSUPPORTED,
                           "%s: model_type \"%s\" is known but not run: %s", from->path, type,
                           not_run[i].reason);
    return TR_OK;
}

static enum tr_status unknown_type(const char *type, const struct tr_config_source *from) {
    if (json_is_object(json_object_get(from->root, "text_config")))
        return tr_fail(from->err, TR_EUNSUPPORTED,
                       "%s: model_type \"%.64s\" holds a \"text_config\" among others; models of "
                       "more than text are not supported",
                       from->path, type);
    char known[1024] = "";
    for (int i = 0; tr_family_at(i); i++) {
        const char *name = tr_family_at(i)->model_type;
        if (tr_family_find(name) != tr_family_at(i))
            continue;
        strncat(known, i ? ", " : "", sizeof known - strlen(known) - 1);
        strncat(known, name, sizeof known - strlen(known) - 1);
    }
    return tr_fail(
        from->err, TR_EUNSUPPORTED,
        "%s: model_type \"%.64s\" is not known; the nearest known one is %s, all are: %s "
        "(a new one needs a row in trace/model/families, see docs/adding-a-family.md)",
        from->path, type, tr_family_nearest(type), known);
}

static enum tr_status check_words(const struct tr_family *family,
                                  const struct tr_config_source *from) {
    for (int i = 0; i < TR_MAX_WORDS && family->words[i].key; i++) {
        const struct tr_word *word = &family->words[i];
        const char *found = word->fallback, *key = word->key;
        const json_t *holder = tr_config_holder(&key, from->root);
        TR_TRY(tr_json_string(holder, key, &found, from->path, from->err));
        if (strcmp(found, word->value) != 0)
            return tr_fail(from->err, TR_EUNSUPPORTED,
                           "%s: \"%s\" is \"%.64s\"; for %s only \"%s\" is supported", from->path,
                           word->key, found, family->model_type, word->value);
    }
    return TR_OK;
}

// The first row of the model_type whose condition holds, NULL when there is none.
static enum tr_status find_row(const struct tr_family **family_p, const char *type,
                               const struct tr_config_source *from) {
    const struct tr_family *family;
    *family_p = NULL;
    for (int i = 0; (family = tr_family_at(i)) && !*family_p; i++) {
        bool applies = false;
        if (strcmp(family->model_type, type) == 0 ||
            (family->also && strcmp(family->also, type) == 0))
            TR_TRY(tr_condition_holds(&family->when, &applies, from));
        if (applies)
            *family_p = family;
    }
    return TR_OK;
}

static enum tr_status check_refusals(const struct tr_family *family,
                                     const struct tr_config_source *from) {
    for (int i = 0; i < TR_MAX_REFUSALS && family->refusals[i].reason; i++) {
        bool refused;
        TR_TRY(tr_condition_holds(&family->refusals[i].when, &refused, from));
        if (refused)
            return tr_fail(from->err, TR_EUNSUPPORTED, "%s: this %s is not supported: %s",
                           from->path, family->model_type, family->refusals[i].reason);
    }
    return TR_OK;
}

static enum tr_status check_unread(const struct tr_family *family,
                                   const struct tr_config_source *from) {
    for (int i = 0; i < TR_MAX_UNREAD && family->unread[i]; i++) {
        const json_t *value = json_object_get(from->root, family->unread[i]);
        bool empty = json_is_object(value) && json_object_size(value) == 0;
        if (value && !json_is_null(value) && !empty)
            return tr_fail(from->err, TR_EUNSUPPORTED,
                           "%s: \"%s\" is there, but what it asks for is not supported for %s",
                           from->path, family->unread[i], family->model_type);
    }
    return TR_OK;
}

// Refuses what no family runs, whatever its row says.
static enum tr_status check_common(const struct tr_config_source *from) {
    struct tr_packed_scheme scheme;
    const json_t *causal = json_object_get(from->root, "is_causal");
    TR_TRY(tr_packed_scheme_read(&scheme, from->root, from->path, from->err));
    if (causal && !json_is_true(causal))
        return tr_fail(from->err, TR_EUNSUPPORTED,
                       "%s: \"is_causal\" is not true: attention is causal here, not "
                       "bidirectional",
                       from->path);
    return TR_OK;
}

// Where "model_type" is missing, the first of "architectures" says what it is.
static enum tr_status read_type(const struct tr_config_source *from, const char **type_p) {
    const char *type = NULL;
    TR_TRY(tr_json_string(from->root, "model_type", &type, from->path, from->err));
    const json_t *list = json_object_get(from->root, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));
    if (!type && name)
        type = tr_family_of_class(name);
    *type_p = type;
    if (type)
        return TR_OK;
    return name ? tr_fail(from->err, TR_EFORMAT,
                          "%s: \"model_type\" is missing, and the class \"%.64s\" of "
                          "\"architectures\" is not known",
                          from->path, name)
                : tr_fail(from->err, TR_EFORMAT, "%s: \"model_type\" is missing", from->path);
}

enum tr_status tr_config_find_family(const struct tr_family **family_p,
                                     const struct tr_config_source *from) {
    const struct tr_family *family;
    const char *type = NULL;
    TR_TRY(read_type(from, &type));
    TR_TRY(find_row(&family, type, from));
    if (!family)
        TR_TRY(refuse_by_name(type, from));
    if (!family)
        return unknown_type(type, from);
    TR_TRY(check_refusals(family, from));
    TR_TRY(check_words(family, from));
    TR_TRY(check_unread(family, from));
    *family_p = family;
    return check_common(from);
}
