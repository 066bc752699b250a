// SPDX-License-Identifier: Apache-2.0
#include "runs_told.h"

#include <string.h>

static bool has_line(const char *text, const char *line, size_t size) {
    for (const char *at = text; at && *at; at += strcspn(at, "\n"), at += *at == '\n')
        if (strcspn(at, "\n") == size && !memcmp(at, line, size))
            return true;
    return false;
}

enum tr_status tr_history_add(struct tr_string *history, const struct tr_run_info *info,
                              struct tr_err *err) {
    const struct tr_attribute *lines = tr_run_info_find(info, "history");
    if (!lines || lines->is_number)
        return TR_OK;
    for (const char *at = lines->text; *at; at += *at == '\n') {
        size_t size = strcspn(at, "\n");
        if (!has_line(history->data, at, size))
            TR_TRY(
                tr_string_format(history, err, "%s%.*s", history->size ? "\n" : "", (int)size, at));
        at += size;
    }
    return TR_OK;
}
