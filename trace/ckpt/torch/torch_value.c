// SPDX-License-Identifier: Apache-2.0
// Looking things up among the values of a pickle.
#include <math.h>
#include <string.h>

#include "torch_global.h"

const struct tr_value *tr_value_class(const struct tr_value *value) {
    const struct tr_value *class = value->kind == TR_VALUE_OBJECT ? value->object.class : NULL;
    return class && class->kind == TR_VALUE_CLASS ? class : NULL;
}

bool tr_value_is(const struct tr_value *value, const char *module, const char *name) {
    const struct tr_value *class = value->kind == TR_VALUE_CLASS ? value : tr_value_class(value);
    return class && tr_slice_is(class->class.module, module) &&
           tr_slice_is(class->class.name, name);
}

const struct tr_value *tr_value_dict(const struct tr_value *value) {
    if (value && value->kind == TR_VALUE_OBJECT)
        value = value->object.state && value->object.state->kind == TR_VALUE_DICT
                    ? value->object.state
                    : value->object.items;
    return value && value->kind == TR_VALUE_DICT ? value : NULL;
}

static const struct tr_value *get(const struct tr_value *value, const char *key, size_t size) {
    const struct tr_value *dict = tr_value_dict(value);
    for (uint64_t i = dict ? dict->sequence.count : 0; i >= 2; i -= 2) {
        const struct tr_value *name = dict->sequence.items[i - 2];
        if (name->kind == TR_VALUE_TEXT && name->text.size == size &&
            !memcmp(name->text.bytes, key, size))
            return dict->sequence.items[i - 1];
    }
    return NULL;
}

const struct tr_value *tr_value_get(const struct tr_value *value, const char *key) {
    return get(value, key, strlen(key));
}

const struct tr_value *tr_value_path(const struct tr_value *value, const char *path) {
    for (const char *end; value && *path; path = *end ? end + 1 : end) {
        end = strchr(path, '.') ? strchr(path, '.') : path + strlen(path);
        value = get(value, path, (size_t)(end - path));
    }
    return value;
}

bool tr_value_real(const struct tr_value *value, double *real_p) {
    if (!value || (value->kind != TR_VALUE_INTEGER && value->kind != TR_VALUE_REAL))
        return false;
    *real_p = value->kind == TR_VALUE_REAL ? value->real : (double)value->integer;
    return true;
}

bool tr_value_integer(const struct tr_value *value, int64_t *integer_p) {
    if (!value || (value->kind != TR_VALUE_INTEGER && value->kind != TR_VALUE_REAL))
        return false;
    if (value->kind == TR_VALUE_REAL &&
        !(fabs(value->real) < 9e15 && value->real == floor(value->real)))
        return false;
    *integer_p = value->kind == TR_VALUE_REAL ? (int64_t)value->real : value->integer;
    return true;
}

bool tr_value_bool(const struct tr_value *value, bool *bool_p) {
    if (!value || value->kind != TR_VALUE_BOOL)
        return false;
    *bool_p = value->integer != 0;
    return true;
}
