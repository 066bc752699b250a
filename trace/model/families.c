// SPDX-License-Identifier: Apache-2.0
// The table of families: one row, one file in families/. Defaults in the rows are those of the
// configuration classes in transformers, which config.json may omit; sizes have no default worth
// having and are required. What a row does not write is neutral.
#include "model/family.h"

#include <ctype.h>
#include <string.h>

#define TR_FAMILY(name) extern const struct tr_family tr_family_##name;
#include "families/list.h"
#undef TR_FAMILY

static const struct tr_family *const families[] = {
#define TR_FAMILY(name) &tr_family_##name,
#include "families/list.h"
#undef TR_FAMILY
};

enum { FAMILIES = sizeof families / sizeof families[0] };

const struct tr_family *tr_family_at(int index) {
    return index >= 0 && index < FAMILIES ? families[index] : NULL;
}

const struct tr_family *tr_family_find(const char *model_type) {
    for (int i = 0; i < FAMILIES; i++)
        if (strcmp(families[i]->model_type, model_type) == 0)
            return families[i];
    return NULL;
}

// Whether name[0, size) is the model_type, capitals, underscores and hyphens aside.
static bool spells(const char *name, size_t size, const char *type) {
    size_t i = 0;
    for (; *type; type++) {
        if (*type == '_' || *type == '-')
            continue;
        if (i == size || tolower((unsigned char)name[i++]) != *type)
            return false;
    }
    return i == size;
}

// What classes put behind the model's name, and names that are not the model_type's.
static const char *const heads[] = {
    "ForCausalLM",          "LMHeadModel", "ForSequenceClassification", "ForTokenClassification",
    "ForQuestionAnswering", "Model"};
static const struct {
    const char *name, *type;
} renamed[] = {{"Gemma3", "gemma3_text"},
               {"HunYuanDenseV1", "hunyuan_v1_dense"},
               {"HunYuanMoEV1", "hunyuan_v1_moe"},
               {"Ernie4_5", "ernie4_5"},
               {"Ernie4_5_Moe", "ernie4_5_moe"}};

static const char *type_of(const char *name, size_t size) {
    for (size_t i = 0; i < sizeof renamed / sizeof renamed[0]; i++)
        if (strlen(renamed[i].name) == size && !memcmp(renamed[i].name, name, size))
            return renamed[i].type;
    for (int i = 0; i < FAMILIES; i++)
        if (spells(name, size, families[i]->model_type))
            return families[i]->model_type;
    return NULL;
}

const char *tr_family_of_class(const char *name) {
    size_t size = strlen(name);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        size_t tail = strlen(heads[i]);
        if (size > tail && !strcmp(name + size - tail, heads[i]))
            return type_of(name, size - tail);
    }
    return NULL;
}

int tr_family_index(const struct tr_family *family) {
    for (int i = 0; i < FAMILIES; i++)
        if (families[i] == family)
            return i;
    return -1;
}

enum tr_weight tr_family_match(const struct tr_family *family, const char *name,
                               struct tr_name_numbers *numbers) {
    char prefixed[256];
    size_t size = family->prefix ? strlen(family->prefix) : 0;
    int found = tr_pattern_find(family->weights, TR_WEIGHTS, name, numbers);
    if (found < 0 && size && !strncmp(name, family->prefix, size))
        found = tr_pattern_find(family->weights, TR_WEIGHTS, name + size, numbers);
    else if (found < 0 && size && size + strlen(name) < sizeof prefixed) {
        strcat(strcpy(prefixed, family->prefix), name);
        found = tr_pattern_find(family->weights, TR_WEIGHTS, prefixed, numbers);
    }
    return found < 0 ? TR_WEIGHTS : (enum tr_weight)found;
}

// Levenshtein distance of two short strings; text past 63 characters is ignored.
static int edit_distance(const char *a, const char *b) {
    int row[64];
    int na = (int)strnlen(a, 63), nb = (int)strnlen(b, 63);
    for (int j = 0; j <= nb; j++)
        row[j] = j;
    for (int i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int replace = diagonal + (a[i - 1] != b[j - 1]);
            int insert = row[j - 1] + 1, erase = row[j] + 1;
            diagonal = row[j];
            row[j] = replace < insert ? replace : insert;
            row[j] = row[j] < erase ? row[j] : erase;
        }
    }
    return row[nb];
}

const char *tr_family_nearest(const char *model_type) {
    int best = 0;
    for (int i = 1; i < FAMILIES; i++)
        if (edit_distance(families[i]->model_type, model_type) <
            edit_distance(families[best]->model_type, model_type))
            best = i;
    return families[best]->model_type;
}
