// SPDX-License-Identifier: Apache-2.0
#include "documents.h"

#include <string.h>

#include "base/strings.h"
#include "characters.h"
#include "jsonl.h"

static const char separator[] = "<|endoftext|>";

static bool is_separator(const char *line, size_t size) {
    if (size && line[size - 1] == '\r')
        size--;
    return size == sizeof separator - 1 && !memcmp(line, separator, size);
}

// The document that ends where the separator line at `end` begins, without its last line break.
static size_t document_size(const char *start, const char *end) {
    size_t size = (size_t)(end - start);
    if (size && start[size - 1] == '\n')
        size--;
    if (size && start[size - 1] == '\r')
        size--;
    return size;
}

enum tr_status tr_documents_plain(const char *text, size_t size, const char *path,
                                  tr_document_fn *take, void *user, struct tr_err *err) {
    if (!tr_utf8_valid(text, size))
        return tr_fail(err, TR_EFORMAT, "%s is not UTF-8 at byte %zu", path,
                       tr_utf8_prefix(text, size));
    const char *start = text, *line = text, *end = text + size;
    bool more = true;
    while (line < end && more) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *next = newline ? newline + 1 : end;
        if (is_separator(line, (size_t)((newline ? newline : end) - line))) {
            size_t length = document_size(start, line);
            if (length)
                TR_TRY(take(user, start, length, &more, err));
            start = next;
        }
        line = next;
    }
    return more && start < end ? take(user, start, (size_t)(end - start), &more, err) : TR_OK;
}

struct taker {
    tr_document_fn *take;
    void *user;
};

static enum tr_status take_object(void *user, const json_t *object, const char *what, bool *more_p,
                                  struct tr_err *err) {
    struct taker *taker = user;
    const json_t *text = json_object_get(object, "text");
    if (!json_is_string(text))
        return tr_fail(err, TR_EFORMAT, "%s has no string \"text\"", what);
    size_t size = json_string_length(text);
    return size ? taker->take(taker->user, json_string_value(text), size, more_p, err) : TR_OK;
}

enum tr_status tr_documents_jsonl(const char *bytes, size_t size, const char *path,
                                  tr_document_fn *take, void *user, struct tr_err *err) {
    struct taker taker = {take, user};
    return tr_jsonl_each(bytes, size, path, take_object, &taker, err);
}
