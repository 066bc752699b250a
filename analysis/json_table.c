// SPDX-License-Identifier: Apache-2.0
#include "json_table.h"

#include <math.h>
#include <string.h>

json_t *an_json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *an_json_append(json_t *array, json_t *value) {
    if (!array) {
        json_decref(value);
        return NULL;
    }
    if (json_array_append_new(array, value) == 0)
        return array;
    json_decref(array);
    return NULL;
}

json_t *an_json_numbers(const double *values, int64_t count) {
    json_t *array = json_array();
    for (int64_t i = 0; i < count && array; i++)
        array = an_json_append(array, an_json_number(values[i]));
    return array;
}

json_t *an_json_list(const struct an_json_table *table, const void *items, int64_t count,
                     const void *context) {
    json_t *array = json_array();
    for (int64_t i = 0; i < count && array; i++)
        array = an_json_append(
            array, an_json_object(table, (const char *)items + (size_t)i * table->size, context));
    return array;
}

// ---- members ---------------------------------------------------------------------------------

static int64_t integer_at(const char *item, size_t offset) {
    int64_t value;
    memcpy(&value, item + offset, sizeof value);
    return value;
}

static double real_at(const char *item, size_t offset) {
    double value;
    memcpy(&value, item + offset, sizeof value);
    return value;
}

static const void *pointer_at(const char *item, size_t offset) {
    const void *value;
    memcpy(&value, item + offset, sizeof value);
    return value;
}

static json_t *name_at(const char *item, const struct an_json_field *field) {
    unsigned which;
    memcpy(&which, item + field->offset, sizeof which);
    return json_string(field->names[which]);
}

static json_t *integer_or_null(int64_t value, bool known) {
    return known ? json_integer(value) : json_null();
}

static json_t *value_of(const struct an_json_field *field, const char *item, const void *context) {
    const char *member = item + field->offset;
    switch (field->kind) {
    case AN_JSON_INTEGER:
        return json_integer(integer_at(item, field->offset));
    case AN_JSON_PLACE:
        return integer_or_null(integer_at(item, field->offset),
                               integer_at(item, field->offset) >= 0);
    case AN_JSON_SIZE:
        return integer_or_null(integer_at(item, field->offset),
                               integer_at(item, field->offset) != 0);
    case AN_JSON_REAL:
        return json_real(real_at(item, field->offset));
    case AN_JSON_NUMBER:
        return an_json_number(real_at(item, field->offset));
    case AN_JSON_FLAG:
        return json_boolean(*(const bool *)member);
    case AN_JSON_TEXT:
        return json_string(pointer_at(item, field->offset));
    case AN_JSON_NAME:
        return name_at(item, field);
    case AN_JSON_OBJECT:
        return an_json_object(field->table, member, context);
    case AN_JSON_LIST:
        return an_json_list(field->table, pointer_at(item, field->offset),
                            integer_at(item, field->count), context);
    default:
        return field->make(item, context);
    }
}

json_t *an_json_object(const struct an_json_table *table, const void *item, const void *context) {
    json_t *object = json_object();
    for (int i = 0; i < table->fields && object; i++) {
        const struct an_json_field *field = &table->field[i];
        if (json_object_set_new(object, field->key, value_of(field, item, context)) != 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}
