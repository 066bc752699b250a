// SPDX-License-Identifier: Apache-2.0
// The pattern of a step to a compiled one.
#include <string.h>

#include "pattern.h"

static enum tr_status build(pcre2_code **code_p, const char *pattern, size_t size, bool quoted,
                            const char *what, struct tr_err *err) {
    struct tr_string translated = {0};
    enum tr_status status = quoted ? tr_pattern_quote(pattern, size, &translated, err)
                                   : tr_pattern_translate(pattern, size, &translated, what, err);
    if (status == TR_OK && !translated.size)
        status = tr_fail(err, TR_EUNSUPPORTED, "%s: an empty split pattern", what);
    if (status == TR_OK)
        status = tr_pattern_compile(code_p, translated.data, translated.size, what, err);
    tr_string_free(&translated);
    return status;
}

enum tr_status tr_pattern_parse(pcre2_code **code_p, const json_t *value, const char *step,
                                const char *what, struct tr_err *err) {
    const json_t *regex = json_object_get(value, "Regex");
    const json_t *text = json_object_get(value, "String");
    const json_t *source = regex ? regex : text;
    if (!json_is_string(source))
        return tr_fail(err, TR_EFORMAT,
                       "%s: a %s needs a pattern {\"Regex\": ...} or {\"String\": ...}", what,
                       step);
    return build(code_p, json_string_value(source), json_string_length(source), !regex, what, err);
}

enum tr_status tr_pattern_build(pcre2_code **code_p, const char *pattern, const char *what,
                                struct tr_err *err) {
    return build(code_p, pattern, strlen(pattern), false, what, err);
}
