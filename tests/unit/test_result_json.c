// SPDX-License-Identifier: Apache-2.0
// The tables of a result's JSON against analysis/result.schema.json: the same keys, of the same
// types, on every level; and that no part of the schema is left over.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "result_tables.h"

static json_t *schema;

static int load(void **state) {
    (void)state;
    schema = json_load_file("analysis/result.schema.json", 0, NULL);
    return schema ? 0 : -1;
}

static int release(void **state) {
    (void)state;
    json_decref(schema);
    return 0;
}

// ---- the schema ------------------------------------------------------------------------------

// What a $ref into $defs names, else the schema itself.
static const json_t *resolved(const json_t *one) {
    static const char prefix[] = "#/$defs/";
    const char *name = json_string_value(json_object_get(one, "$ref"));
    if (!name)
        return one;
    assert_memory_equal(name, prefix, sizeof prefix - 1);
    const json_t *found =
        json_object_get(json_object_get(schema, "$defs"), name + sizeof prefix - 1);
    assert_non_null(found);
    return found;
}

// Of {anyOf: [null, one]} the one.
static const json_t *present(const json_t *one) {
    const json_t *choices = json_object_get(resolved(one), "anyOf");
    return resolved(choices ? json_array_get(choices, json_array_size(choices) - 1) : one);
}

static const char *const_type(const json_t *value) {
    return json_is_string(value) ? "string" : json_is_integer(value) ? "integer" : "other";
}

// "number|null": the schema's types in its order; of a choice of objects "object|null".
static void type_of(const json_t *one, char *text, size_t size) {
    const json_t *fixed = json_object_get(resolved(one), "const"), *type, *item;
    size_t i, used = 0;
    if (json_object_get(resolved(one), "anyOf")) {
        snprintf(text, size, "object|null");
        return;
    }
    type = json_object_get(resolved(one), "type");
    if (fixed || json_is_string(type)) {
        snprintf(text, size, "%s", fixed ? const_type(fixed) : json_string_value(type));
        return;
    }
    json_array_foreach((json_t *)type, i, item) used +=
        (size_t)snprintf(text + used, size - used, "%s%s", i ? "|" : "", json_string_value(item));
}

// The items of an array, through arrays of arrays.
static const json_t *items(const json_t *one) {
    for (const json_t *inner; (inner = json_object_get(resolved(one), "items"));)
        one = inner;
    return resolved(one);
}

// ---- the tables ------------------------------------------------------------------------------

static const char *const types[AN_JSON_KINDS] = {
    [AN_JSON_INTEGER] = "integer",    [AN_JSON_PLACE] = "integer|null",
    [AN_JSON_SIZE] = "integer|null",  [AN_JSON_REAL] = "number",
    [AN_JSON_NUMBER] = "number|null", [AN_JSON_FLAG] = "boolean",
    [AN_JSON_TEXT] = "string",        [AN_JSON_OBJECT] = "object",
    [AN_JSON_LIST] = "array"};

static void check_names(const struct an_json_field *field, const json_t *one) {
    const json_t *names = json_object_get(resolved(one), "enum");
    if ((int64_t)json_array_size(names) > field->choices)
        fail_msg("%s: the schema has more names", field->key);
    for (int64_t i = 0; i < field->choices; i++) {
        const char *name = json_string_value(json_array_get(names, (size_t)i));
        if (!name || strcmp(name, field->names[i]) != 0)
            fail_msg("%s: %s is not name %d of the schema", field->key, field->names[i], (int)i);
    }
}

static void check_table(const struct an_json_table *table, const json_t *object);

// A key with its part of the schema.
static void check_field(const struct an_json_field *field, const json_t *one) {
    char type[64] = "";
    if (field->kind == AN_JSON_NAME) {
        check_names(field, one);
        return;
    }
    type_of(one, type, sizeof type);
    const char *expected = field->kind == AN_JSON_MADE ? field->made : types[field->kind];
    if (strcmp(type, expected) != 0)
        fail_msg("%s is written as %s, the schema says %s", field->key, expected, type);
    const json_t *within = strncmp(type, "array", 5) == 0 ? items(one) : present(one);
    if (field->table)
        check_table(field->table, within);
    else if (json_object_get(within, "properties"))
        fail_msg("%s holds objects that no table makes", field->key);
}

static bool lists(const json_t *names, const char *key) {
    size_t i;
    const json_t *name;
    json_array_foreach((json_t *)names, i,
                       name) if (strcmp(json_string_value(name), key) == 0) return true;
    return false;
}

static void check_table(const struct an_json_table *table, const json_t *object) {
    const json_t *properties = json_object_get(object, "properties");
    const json_t *required = json_object_get(object, "required");
    const json_t *more = json_object_get(object, "additionalProperties");
    assert_true(more && json_is_false(more));
    for (int i = 0; i < table->fields; i++) {
        const json_t *one = json_object_get(properties, table->field[i].key);
        if (!one || !lists(required, table->field[i].key))
            fail_msg("\"%s\" is not in the schema, or not required there", table->field[i].key);
        check_field(&table->field[i], one);
    }
    if ((size_t)table->fields != json_object_size(properties) ||
        (size_t)table->fields != json_array_size(required))
        fail_msg("the schema of the object with \"%s\" has keys that the table has not",
                 table->field[0].key);
}

static void test_schema(void **state) {
    (void)state;
    check_table(&an_json_result, schema);
}

// ---- kinds -----------------------------------------------------------------------------------

struct item {
    int64_t integer, place, size, count;
    double real, number;
    bool flag;
    char *text;
    int name;
    struct item *list;
};

static json_t *make_place_again(const void *item, const void *context) {
    return json_integer(((const struct item *)item)->place + *(const int *)context);
}

static void test_kinds(void **state) {
    (void)state;
    static const char *const names[] = {"zero", "one"};
    static const struct an_json_field inner_fields[] = {
        AN_FIELD("integer", INTEGER, struct item, integer)};
    static const struct an_json_table inner = AN_TABLE(struct item, inner_fields);
    static const struct an_json_field fields[] = {
        AN_FIELD("integer", INTEGER, struct item, integer),
        AN_FIELD("place", PLACE, struct item, place),
        AN_FIELD("size", SIZE, struct item, size),
        AN_FIELD("real", REAL, struct item, real),
        AN_FIELD("number", NUMBER, struct item, number),
        AN_FIELD("flag", FLAG, struct item, flag),
        AN_FIELD("text", TEXT, struct item, text),
        AN_NAME("name", struct item, name, names, 2),
        AN_PART("part", &inner),
        AN_LIST("list", struct item, list, count, &inner),
        AN_MADE("made", make_place_again, "integer"),
    };
    static const struct an_json_table table = AN_TABLE(struct item, fields);
    struct item list[2] = {{.integer = 7}, {.integer = 8}};
    struct item item = {.integer = -5,
                        .place = -1,
                        .size = 0,
                        .count = 2,
                        .real = 0.5,
                        .number = 1e300 * 1e300,
                        .flag = true,
                        .text = "\"",
                        .name = 1,
                        .list = list};
    const int context = 10;
    json_t *object = an_json_object(&table, &item, &context);
    char *text = json_dumps(object, JSON_COMPACT);
    assert_string_equal(
        text, "{\"integer\":-5,\"place\":null,\"size\":null,\"real\":0.5,\"number\":null,"
              "\"flag\":true,\"text\":\"\\\"\",\"name\":\"one\",\"part\":{\"integer\":-5},"
              "\"list\":[{\"integer\":7},{\"integer\":8}],\"made\":9}");
    free(text);
    json_decref(object);
    item.text = "\xff"; // is not UTF-8
    assert_null(an_json_object(&table, &item, &context));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, load, release);
}
