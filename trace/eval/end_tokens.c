// SPDX-License-Identifier: Apache-2.0
#include "end_tokens.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"

enum { LARGEST_FILE = 1 << 20 };

static enum tr_status add(struct tr_end_tokens *ends, const json_t *id, const char *path,
                          const struct tr_config *config, struct tr_err *err) {
    if (!json_is_integer(id))
        return tr_fail(err, TR_EFORMAT, "%s: \"eos_token_id\" must be an integer or a list of them",
                       path);
    if (json_integer_value(id) < 0 || json_integer_value(id) >= config->vocabulary)
        return TR_OK;
    if (ends->count == TR_END_TOKENS)
        return tr_fail(err, TR_EFORMAT, "%s: \"eos_token_id\" has more than %d tokens", path,
                       TR_END_TOKENS);
    ends->ids[ends->count++] = (int32_t)json_integer_value(id);
    return TR_OK;
}

static enum tr_status read_file(struct tr_end_tokens *ends, const char *path,
                                const struct tr_config *config, struct tr_err *err) {
    json_t *root;
    TR_TRY(tr_json_load(&root, path, LARGEST_FILE, err));
    const json_t *value = json_object_get(root, "eos_token_id");
    enum tr_status status = TR_OK;
    if (json_is_array(value))
        for (size_t i = 0; i < json_array_size(value) && status == TR_OK; i++)
            status = add(ends, json_array_get(value, i), path, config, err);
    else if (value && !json_is_null(value))
        status = add(ends, value, path, config, err);
    json_decref(root);
    return status;
}

enum tr_status tr_end_tokens_read(struct tr_end_tokens *ends, const char *folder,
                                  const struct tr_config *config, struct tr_err *err) {
    char *path;
    *ends = (struct tr_end_tokens){0};
    TR_TRY(tr_path_join(&path, folder, "generation_config.json", err));
    enum tr_status status = tr_file_exists(path) ? read_file(ends, path, config, err) : TR_OK;
    free(path);
    if (status == TR_OK && !ends->count && config->end_of_sequence >= 0)
        ends->ids[ends->count++] = config->end_of_sequence;
    return status;
}
