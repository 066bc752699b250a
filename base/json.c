// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// The readers see this string in place of a number that is not finite. Nobody writes it, and it is
// short enough to fit in place of "NaN".
static const char nonfinite[] = "\x7f";

// Overwrites the number at bytes[0, size), if it is an integer beyond 64 bits, by a real and
// spaces, and returns its length. Python's integers have no bounds: 1000000000000000019884624838656
// is how transformers writes that a tokenizer knows no longest text.
static size_t replace_long_integer(char *bytes, size_t size) {
    enum { LONGEST = 300 };
    char real[64];
    size_t length = 0;
    while (length < size && bytes[length] && strchr("0123456789.eE+-", bytes[length]))
        length++;
    errno = 0;
    strtoll(bytes, NULL, 10);
    if (errno != ERANGE || length > LONGEST || strspn(bytes, "0123456789") != length)
        return length;
    int written =
        snprintf(real, sizeof real, "%.9e", strtod(bytes, NULL)); // at most 15 of 19 bytes
    memset(bytes, ' ', length);
    memcpy(bytes, real, (size_t)written);
    return length;
}

// Overwrites the tokens NaN, Infinity and -Infinity outside strings by that string and spaces, and
// long integers.
static void replace_python_tokens(char *bytes, size_t size) {
    static const char *const tokens[] = {"-Infinity", "Infinity", "NaN"};
    bool inside = false;
    for (size_t i = 0; i < size; i++) {
        if (inside && bytes[i] == '\\')
            i++;
        else if (bytes[i] == '"')
            inside = !inside;
        else if (!inside && bytes[i] >= '0' && bytes[i] <= '9')
            i += replace_long_integer(bytes + i, size - i) - 1;
        else if (!inside && (bytes[i] == 'N' || bytes[i] == 'I' || bytes[i] == '-'))
            for (int t = 0; t < 3; t++) {
                size_t length = strlen(tokens[t]);
                if (size - i < length || memcmp(bytes + i, tokens[t], length) ||
                    (i && is_word(bytes[i - 1])))
                    continue;
                memset(bytes + i, ' ', length);
                memcpy(bytes + i, "\"\x7f\"", 3);
                i += length - 1;
                break;
            }
    }
}

enum tr_status tr_json_parse(json_t **value_p, const char *bytes, size_t size, const char *what,
                             struct tr_err *err) {
    json_error_t error;
    json_t *value = json_loadb(bytes, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!value) {
        char *copy;
        TR_TRY(TR_NEW(&copy, (uint64_t)size + 1, what, err));
        memcpy(copy, bytes, size);
        replace_python_tokens(copy, size);
        value = json_loadb(copy, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        free(copy);
    }
    if (!value && size >= 3 && (!memcmp(bytes, "\xef\xbb\xbf", 3) || !memcmp(bytes, "\xff\xfe", 2)))
        return tr_fail(err, TR_EFORMAT,
                       "%s is not valid JSON: it begins with a byte order mark; save it as UTF-8 "
                       "without one",
                       what);
    if (!value)
        return tr_fail(err, TR_EFORMAT, "%s is not valid JSON: line %d column %d: %s", what,
                       error.line, error.column, error.text);
    *value_p = value;
    return TR_OK;
}

enum tr_status tr_json_load(json_t **value_p, const char *path, uint64_t limit,
                            struct tr_err *err) {
    char *bytes;
    size_t size;
    TR_TRY(tr_file_load(path, limit, &bytes, &size, err));
    enum tr_status status = tr_json_parse(value_p, bytes, size, path, err);
    free(bytes);
    return status;
}

bool tr_json_is_nonfinite(const json_t *value) {
    return json_is_string(value) && strcmp(json_string_value(value), nonfinite) == 0;
}

static const char *type_name(const json_t *value) {
    static const char *const names[] = {"an object", "an array", "a string", "an integer",
                                        "a number",  "true",     "false",    "null"};
    if (tr_json_is_nonfinite(value))
        return "NaN or infinite";
    return names[json_typeof(value)];
}

static const json_t *present(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value) ? value : NULL;
}

static enum tr_status wrong_type(const json_t *value, const char *key, const char *expected,
                                 const char *what, struct tr_err *err) {
    return tr_fail(err, TR_EFORMAT, "%s: \"%s\" must be %s, it is %s", what, key, expected,
                   type_name(value));
}

enum tr_status tr_json_i64(const json_t *object, const char *key, int64_t *value_p,
                           const char *what, struct tr_err *err) {
    const json_t *value = present(object, key);
    if (!value)
        return TR_OK;
    double real = json_number_value(value);
    if (json_is_real(value) && real == floor(real) && fabs(real) < 0x1p53)
        *value_p = (int64_t)real;
    else if (json_is_integer(value))
        *value_p = json_integer_value(value);
    else
        return wrong_type(value, key, "an integer", what, err);
    return TR_OK;
}

enum tr_status tr_json_f64(const json_t *object, const char *key, double *value_p, const char *what,
                           struct tr_err *err) {
    const json_t *value = present(object, key);
    if (!value)
        return TR_OK;
    if (!json_is_number(value))
        return wrong_type(value, key, "a number", what, err);
    *value_p = json_number_value(value);
    return TR_OK;
}

enum tr_status tr_json_bool(const json_t *object, const char *key, bool *value_p, const char *what,
                            struct tr_err *err) {
    const json_t *value = present(object, key);
    if (!value)
        return TR_OK;
    if (!json_is_boolean(value))
        return wrong_type(value, key, "true or false", what, err);
    *value_p = json_boolean_value(value);
    return TR_OK;
}

enum tr_status tr_json_string(const json_t *object, const char *key, const char **value_p,
                              const char *what, struct tr_err *err) {
    const json_t *value = present(object, key);
    if (!value)
        return TR_OK;
    if (!json_is_string(value) || tr_json_is_nonfinite(value))
        return wrong_type(value, key, "a string", what, err);
    *value_p = json_string_value(value);
    return TR_OK;
}

static enum tr_status container(const json_t *object, const char *key, json_type type,
                                const json_t **value_p, const char *what, struct tr_err *err) {
    const json_t *value = present(object, key);
    *value_p = value && json_typeof(value) == type ? value : NULL;
    return !value || *value_p
               ? TR_OK
               : wrong_type(value, key, type == JSON_OBJECT ? "an object" : "a list", what, err);
}

enum tr_status tr_json_object(const json_t *object, const char *key, const json_t **value_p,
                              const char *what, struct tr_err *err) {
    return container(object, key, JSON_OBJECT, value_p, what, err);
}

enum tr_status tr_json_list(const json_t *object, const char *key, const json_t **value_p,
                            const char *what, struct tr_err *err) {
    return container(object, key, JSON_ARRAY, value_p, what, err);
}

// ---- writing -----------------------------------------------------------------------------------

enum tr_status tr_json_append(json_t *value, size_t flags, const char *what, struct tr_string *out,
                              struct tr_err *err) {
    char *text = value ? json_dumps(value, flags | JSON_REAL_PRECISION(17)) : NULL;
    enum tr_status status = text ? tr_string_format(out, err, "%s\n", text)
                                 : tr_fail(err, TR_ENOMEM, "out of memory for %s", what);
    free(text);
    json_decref(value);
    return status;
}

enum tr_status tr_json_save(json_t *value, size_t flags, const char *path, struct tr_err *err) {
    struct tr_string text = {0};
    enum tr_status status = tr_json_append(value, flags, path, &text, err);
    if (status == TR_OK)
        status = tr_file_replace(path, text.data, text.size, err);
    tr_string_free(&text);
    return status;
}
