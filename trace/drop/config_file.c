// SPDX-License-Identifier: Apache-2.0
#include "config_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

// With as few digits as say every number of it.
enum tr_status tr_config_dump(char **text_p, const json_t *root, const char *path,
                              struct tr_err *err) {
    for (int digits = 15; digits <= 17; digits++) {
        char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION((size_t)digits));
        json_t *again = text ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL;
        bool same = json_equal(root, again);
        json_decref(again);
        if (same && !strstr(text, "\x7f")) { // stands for a number, see base/json.c
            *text_p = text;
            return TR_OK;
        }
        free(text);
    }
    return tr_fail(err, TR_EUNSUPPORTED, "%s holds a number that is not finite", path);
}

enum tr_status tr_config_of(struct tr_config *config, const json_t *root, const char *path,
                            struct tr_err *err) {
    char *text;
    TR_TRY(tr_config_dump(&text, root, path, err));
    enum tr_status status = tr_config_parse(config, text, strlen(text), path, err);
    free(text);
    return status;
}

enum tr_status tr_config_write(const json_t *root, const char *folder, struct tr_err *err) {
    struct tr_string lines = {0};
    char *text, *path = NULL;
    TR_TRY(tr_config_dump(&text, root, folder, err));
    enum tr_status status = tr_string_format(&lines, err, "%s\n", text);
    if (status == TR_OK)
        status = tr_path_join(&path, folder, "config.json", err);
    if (status == TR_OK)
        status = tr_file_replace(path, lines.data, lines.size, err);
    tr_string_free(&lines);
    free(path);
    free(text);
    return status;
}
