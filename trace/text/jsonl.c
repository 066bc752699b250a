// SPDX-License-Identifier: Apache-2.0
#include "jsonl.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

static bool is_blank(const char *line, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (!memchr(" \t\r", line[i], 3))
            return false;
    return true;
}

static enum tr_status take_line(const char *line, size_t size, const char *what, tr_jsonl_fn *take,
                                void *user, bool *more_p, struct tr_err *err) {
    json_t *object;
    TR_TRY(tr_json_parse(&object, line, size, what, err));
    enum tr_status status = json_is_object(object)
                                ? take(user, object, what, more_p, err)
                                : tr_fail(err, TR_EFORMAT, "%s must be a JSON object", what);
    json_decref(object);
    return status;
}

enum tr_status tr_jsonl_each(const char *bytes, size_t size, const char *path, tr_jsonl_fn *take,
                             void *user, struct tr_err *err) {
    const char *at = bytes, *end = bytes + size;
    bool more = true;
    for (long long number = 1; at < end && more; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((newline ? newline : end) - at);
        char what[TR_ERR_MAX / 2];
        snprintf(what, sizeof what, "%s, line %lld", path, number);
        if (!is_blank(at, length))
            TR_TRY(take_line(at, length, what, take, user, &more, err));
        at += length + (newline ? 1 : 0);
    }
    return TR_OK;
}
