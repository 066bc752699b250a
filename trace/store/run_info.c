// SPDX-License-Identifier: Apache-2.0
#include "store/run_info.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/utf8.h"

bool tr_run_info_reserved(const char *name) {
    const struct tr_attribute_row *row = tr_attribute_row(name);
    return row && row->by_store;
}

const struct tr_attribute *tr_run_info_find(const struct tr_run_info *info, const char *name) {
    for (int64_t i = 0; i < info->count; i++)
        if (!strcmp(info->attributes[i].name, name))
            return &info->attributes[i];
    return NULL;
}

bool tr_run_info_gains(const struct tr_run_info *info, const struct tr_run_info *there) {
    for (int64_t i = 0; i < info->count; i++) {
        const struct tr_attribute *attribute = &info->attributes[i];
        if (attribute->role == TR_GAINED && !tr_run_info_find(there, attribute->name))
            return true;
    }
    return false;
}

// The attribute of that name, a new one at the end when there is none.
static enum tr_status find_or_add(struct tr_run_info *info, const char *name,
                                  struct tr_attribute **attribute_p, struct tr_err *err) {
    if (tr_run_info_reserved(name) || !*name || strpbrk(name, " /"))
        return tr_fail(err, TR_EUSAGE, "\"%s\" cannot be the name of an attribute of a run", name);
    const struct tr_attribute *found = tr_run_info_find(info, name);
    if (!found) {
        TR_TRY(tr_grow((void **)&info->attributes, &info->capacity, (uint64_t)info->count + 1,
                       sizeof *info->attributes, "attributes", err));
        struct tr_attribute added = {0};
        TR_TRY(tr_strdup(&added.name, name, err));
        info->attributes[info->count] = added;
        found = &info->attributes[info->count++];
    }
    *attribute_p = (struct tr_attribute *)found;
    return TR_OK;
}

enum tr_status tr_run_info_text(struct tr_run_info *info, enum tr_attribute_role role,
                                const char *name, const char *text, struct tr_err *err) {
    char *copy;
    TR_TRY(tr_utf8_copy(&copy, text, err));
    struct tr_attribute *attribute;
    enum tr_status status = find_or_add(info, name, &attribute, err);
    if (status != TR_OK) {
        free(copy);
        return status;
    }
    free(attribute->text);
    attribute->role = role;
    attribute->is_number = false;
    attribute->text = copy;
    return TR_OK;
}

enum tr_status tr_run_info_number(struct tr_run_info *info, enum tr_attribute_role role,
                                  const char *name, int64_t number, struct tr_err *err) {
    struct tr_attribute *attribute;
    TR_TRY(find_or_add(info, name, &attribute, err));
    free(attribute->text);
    attribute->role = role;
    attribute->is_number = true;
    attribute->number = number;
    attribute->text = NULL;
    return TR_OK;
}

// A list of labels, every one "".
static enum tr_status new_list(char ***list_p, int64_t count, struct tr_err *err) {
    TR_TRY(TR_NEW(list_p, count, "labels", err));
    for (int64_t i = 0; i < count; i++)
        TR_TRY(tr_utf8_copy(&(*list_p)[i], "", err));
    return TR_OK;
}

static enum tr_status new_labels(char ***first_p, char ***second_p, int64_t count,
                                 struct tr_err *err) {
    TR_TRY(new_list(first_p, count, err));
    return new_list(second_p, count, err);
}

static enum tr_status set_labels(char **first_p, const char *first, char **second_p,
                                 const char *second, struct tr_err *err) {
    char *one, *other;
    TR_TRY(tr_utf8_copy(&one, first, err));
    enum tr_status status = tr_utf8_copy(&other, second, err);
    if (status != TR_OK) {
        free(one);
        return status;
    }
    free(*first_p);
    free(*second_p);
    *first_p = one;
    *second_p = other;
    return TR_OK;
}

enum tr_status tr_run_info_sequences(struct tr_run_info *info, struct tr_err *err) {
    return new_labels(&info->text, &info->ids_digest, info->layout.sequences, err);
}

enum tr_status tr_run_info_sequence(struct tr_run_info *info, int64_t sequence, const char *text,
                                    const char *ids_digest, struct tr_err *err) {
    return set_labels(&info->text[sequence], text, &info->ids_digest[sequence], ids_digest, err);
}

enum tr_status tr_run_info_sets(struct tr_run_info *info, struct tr_err *err) {
    return new_labels(&info->set_name, &info->set_drop, info->layout.drop_sets, err);
}

enum tr_status tr_run_info_set(struct tr_run_info *info, int64_t set, const char *name,
                               const char *drop, struct tr_err *err) {
    return set_labels(&info->set_name[set], name, &info->set_drop[set], drop, err);
}

enum tr_status tr_run_info_candidates(struct tr_run_info *info, struct tr_err *err) {
    return new_list(&info->candidate, info->layout.candidates, err);
}

enum tr_status tr_run_info_candidate(struct tr_run_info *info, int64_t candidate, const char *drop,
                                     struct tr_err *err) {
    char *copy;
    TR_TRY(tr_utf8_copy(&copy, drop, err));
    free(info->candidate[candidate]);
    info->candidate[candidate] = copy;
    return TR_OK;
}

static enum tr_status copy_into(struct tr_run_info *copy, const struct tr_run_info *info,
                                struct tr_err *err) {
    copy->layout = info->layout;
    for (int64_t i = 0; i < info->count; i++) {
        const struct tr_attribute *from = &info->attributes[i];
        if (from->is_number)
            TR_TRY(tr_run_info_number(copy, from->role, from->name, from->number, err));
        else
            TR_TRY(tr_run_info_text(copy, from->role, from->name, from->text, err));
    }
    TR_TRY(tr_run_info_sequences(copy, err));
    for (int64_t i = 0; i < info->layout.sequences; i++)
        TR_TRY(tr_run_info_sequence(copy, i, info->text[i], info->ids_digest[i], err));
    TR_TRY(tr_run_info_sets(copy, err));
    for (int64_t i = 0; i < info->layout.drop_sets; i++)
        TR_TRY(tr_run_info_set(copy, i, info->set_name[i], info->set_drop[i], err));
    TR_TRY(tr_run_info_candidates(copy, err));
    for (int64_t i = 0; i < info->layout.candidates; i++)
        TR_TRY(tr_run_info_candidate(copy, i, info->candidate[i], err));
    return TR_OK;
}

enum tr_status tr_run_info_copy(struct tr_run_info *copy, const struct tr_run_info *info,
                                struct tr_err *err) {
    struct tr_run_info made = {0};
    enum tr_status status = copy_into(&made, info, err);
    if (status != TR_OK)
        tr_run_info_free(&made);
    else
        *copy = made;
    return status;
}

static bool same_layout(const struct tr_layout *a, const struct tr_layout *b) {
    return a->layers == b->layers && a->sequences == b->sequences && a->seq_len == b->seq_len &&
           a->nll == b->nll && a->per_token == b->per_token && a->span_tokens == b->span_tokens &&
           (!a->span_tokens || (a->probes == b->probes && a->channels == b->channels)) &&
           a->cost_sequences == b->cost_sequences && a->cost_batch == b->cost_batch &&
           a->drop_sets == b->drop_sets && a->set_distances == b->set_distances &&
           a->rounds == b->rounds && a->candidates == b->candidates;
}

static bool same_attribute(const struct tr_attribute *a, const struct tr_attribute *b) {
    return b && a->role == b->role && a->is_number == b->is_number &&
           (a->is_number ? a->number == b->number : !strcmp(a->text, b->text));
}

const char *tr_run_info_difference(const struct tr_run_info *a, const struct tr_run_info *b) {
    if (!same_layout(&a->layout, &b->layout))
        return "the dimensions";
    for (int64_t i = 0; i < a->count; i++)
        if (!same_attribute(&a->attributes[i], tr_run_info_find(b, a->attributes[i].name)))
            return a->attributes[i].name;
    for (int64_t i = 0; i < a->layout.sequences; i++)
        if (strcmp(a->text[i], b->text[i]) || strcmp(a->ids_digest[i], b->ids_digest[i]))
            return a->text[i];
    for (int64_t i = 0; i < a->layout.drop_sets; i++)
        if (strcmp(a->set_name[i], b->set_name[i]) || strcmp(a->set_drop[i], b->set_drop[i]))
            return a->set_name[i];
    for (int64_t i = 0; i < a->layout.candidates; i++)
        if (strcmp(a->candidate[i], b->candidate[i]))
            return a->candidate[i];
    return a->count == b->count ? NULL : "an attribute";
}

static void free_strings(char **strings, int64_t count) {
    for (int64_t i = 0; strings && i < count; i++)
        free(strings[i]);
    free(strings);
}

void tr_run_info_free(struct tr_run_info *info) {
    for (int64_t i = 0; i < info->count; i++) {
        free(info->attributes[i].name);
        free(info->attributes[i].text);
    }
    free(info->attributes);
    free_strings(info->text, info->layout.sequences);
    free_strings(info->ids_digest, info->layout.sequences);
    free_strings(info->set_name, info->layout.drop_sets);
    free_strings(info->set_drop, info->layout.drop_sets);
    free_strings(info->candidate, info->layout.candidates);
    *info = (struct tr_run_info){0};
}
