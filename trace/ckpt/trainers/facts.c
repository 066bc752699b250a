// SPDX-License-Identifier: Apache-2.0
#include "facts.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/strings.h"

enum { KEY_MAX = 256, SCALAR_MAX = 1024, DEPTH = 4 };

static enum tr_status no_memory(struct tr_err *err) {
    return tr_fail(err, TR_ENOMEM, "out of memory for a model's configuration");
}

// ---- pickled -----------------------------------------------------------------------------------

static json_t *convert(const struct tr_value *value, int depth);

static bool add(json_t *object, struct tr_slice key, const struct tr_value *value, int depth) {
    char name[KEY_MAX];
    json_t *made = convert(value, depth);
    if (!made || key.size >= sizeof name)
        return true;
    memcpy(name, key.bytes, key.size);
    name[key.size] = 0;
    return !json_object_set_new(object, name, made);
}

static json_t *convert_dict(const struct tr_value *dict, int depth) {
    json_t *object = json_object();
    for (uint64_t i = 0; object && i < dict->sequence.count; i += 2)
        if (dict->sequence.items[i]->kind == TR_VALUE_TEXT)
            add(object, dict->sequence.items[i]->text, dict->sequence.items[i + 1], depth);
    return object;
}

// NULL for what is no plain value.
static json_t *convert(const struct tr_value *value, int depth) {
    switch (value->kind) {
    case TR_VALUE_NONE:
        return json_null();
    case TR_VALUE_BOOL:
        return json_boolean(value->integer);
    case TR_VALUE_INTEGER:
        return json_integer(value->integer);
    case TR_VALUE_REAL:
        return isfinite(value->real) ? json_real(value->real) : NULL;
    case TR_VALUE_TEXT:
        return json_stringn(value->text.bytes, value->text.size);
    default:
        return depth && tr_value_dict(value) ? convert_dict(tr_value_dict(value), depth - 1) : NULL;
    }
}

enum tr_status tr_facts_of_value(json_t **facts_p, const struct tr_value *value,
                                 struct tr_err *err) {
    const struct tr_value *dict = tr_value_dict(value);
    *facts_p = dict ? convert_dict(dict, DEPTH) : json_object();
    return *facts_p ? TR_OK : no_memory(err);
}

// ---- YAML --------------------------------------------------------------------------------------

static json_t *scalar(const char *text) {
    static const char *const nothing[] = {"null", "~", ""};
    double real;
    int64_t integer;
    size_t size = strlen(text);
    if (tr_parse_i64(text, INT64_MIN, INT64_MAX, &integer))
        return json_integer(integer);
    if (tr_parse_f64(text, -INFINITY, INFINITY, &real) && isfinite(real))
        return json_real(real);
    if (!strcmp(text, "true") || !strcmp(text, "false"))
        return json_boolean(*text == 't');
    for (int i = 0; i < 3; i++)
        if (!strcmp(text, nothing[i]))
            return json_null();
    bool quoted = size >= 2 && (*text == '"' || *text == '\'') && text[size - 1] == *text;
    return json_stringn(text + quoted, size - 2 * quoted);
}

// A line without white space, comment and comma at its end, in which a key stands before a colon.
static void add_line(json_t *object, const char *line, size_t size) {
    char text[SCALAR_MAX], *key = text;
    if (!size || size >= sizeof text || isspace((unsigned char)*line) || strchr("#-{}[", *line))
        return;
    memcpy(text, line, size);
    text[size] = 0;
    char *comment = strstr(text, " #"), *colon;
    if (comment)
        *comment = 0;
    for (size_t end = strlen(text); end && strchr(" \t\r,", text[end - 1]); end--)
        text[end - 1] = 0;
    colon = strchr(text, ':');
    if (!colon || (colon[1] && colon[1] != ' '))
        return;
    *colon++ = 0;
    colon += strspn(colon, " ");
    size_t length = strlen(key);
    if (length > 2 && *key == '"' && key[length - 1] == '"')
        key[length - 1] = 0, key++;
    json_object_set_new(object, key, scalar(colon));
}

enum tr_status tr_facts_of_yaml(json_t **facts_p, const char *bytes, size_t size, const char *what,
                                struct tr_err *err) {
    if (!tr_utf8_valid(bytes, size) || memchr(bytes, 0, size))
        return tr_fail(err, TR_EFORMAT, "%s is no text", what);
    size_t first = 0;
    while (first < size && strchr(" \t\r\n", bytes[first])) // no 0 is among them
        first++;
    if (first < size && bytes[first] == '{' && tr_json_parse(facts_p, bytes, size, what, NULL) == 0)
        return TR_OK;
    *facts_p = json_object();
    if (!*facts_p)
        return no_memory(err);
    for (const char *at = bytes, *end = bytes + size, *stop; at < end; at = stop + 1) {
        stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        bool json =
            size && *bytes == '{'; // with comments, or commas at the end: indented by custom
        while (json && at < stop && isspace((unsigned char)*at))
            at++;
        add_line(*facts_p, at, (size_t)(stop - at));
    }
    return TR_OK;
}

// ---- looking up --------------------------------------------------------------------------------

static const json_t *get(const json_t *object, const char *key, size_t size) {
    char name[KEY_MAX];
    if (size >= sizeof name)
        return NULL;
    memcpy(name, key, size);
    name[size] = 0;
    const json_t *found = json_object_get(object, name);
    for (size_t i = 0; i < size; i++)
        name[i] = name[i] == '_' ? '-' : name[i];
    found = found ? found : json_object_get(object, name);
    return json_is_null(found) ? NULL : found;
}

const json_t *tr_fact(const json_t *facts, const char *path) {
    for (const char *end; facts && *path; path = *end ? end + 1 : end) {
        end = path + strcspn(path, ".");
        facts = get(facts, path, (size_t)(end - path));
    }
    return facts;
}

bool tr_fact_f64(const json_t *facts, const char *path, double *value_p) {
    const json_t *found = tr_fact(facts, path);
    if (!json_is_number(found))
        return false;
    *value_p = json_number_value(found);
    return isfinite(*value_p);
}

bool tr_fact_i64(const json_t *facts, const char *path, int64_t *value_p) {
    double value;
    if (!tr_fact_f64(facts, path, &value) || fabs(value) > 9e15 || value != floor(value))
        return false;
    *value_p = (int64_t)value;
    return true;
}

bool tr_fact_true(const json_t *facts, const char *path) {
    return json_is_true(tr_fact(facts, path));
}
