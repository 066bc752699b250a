// SPDX-License-Identifier: Apache-2.0
// Drop sets from files: text, plans, and configs that name layers by list.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/drop_set.h"
#include "base/file.h"
#include "base/json.h"
#include "kept_layers.h"

enum { LARGEST = 1 << 24 };

// One member of a list: a layer's number, or for a list of flags whether layer `index` is in.
static enum tr_status add_member(struct tr_drop_set *set, enum tr_module module, const char *path,
                                 size_t index, const json_t *value, struct tr_err *err) {
    if (json_is_boolean(value))
        return json_is_true(value) ? tr_drop_set_add(set, module, (int64_t)index, err) : TR_OK;
    if (json_is_integer(value))
        return tr_drop_set_add(set, module, json_integer_value(value), err);
    return tr_fail(err, TR_EUSAGE, "%s: a list of dropped layers has numbers or true and false",
                   path);
}

static enum tr_status add_list(struct tr_drop_set *set, enum tr_module module, const char *path,
                               const json_t *list, struct tr_err *err) {
    size_t index;
    const json_t *value;
    if (!list || json_is_null(list))
        return TR_OK;
    if (!json_is_array(list))
        return tr_fail(err, TR_EUSAGE, "%s: the dropped layers are no list", path);
    json_array_foreach(list, index, value) TR_TRY(add_member(set, module, path, index, value, err));
    return TR_OK;
}

static enum tr_status from_object(struct tr_drop_set *set, const char *path, const json_t *object,
                                  struct tr_err *err) {
    const json_t *text = json_object_get(object, "drop");
    const json_t *attn = json_object_get(object, "drop_attn_list");
    const json_t *mlp = json_object_get(object, "drop_mlp_list");
    if (json_is_string(text))
        return tr_drop_set_parse(set, json_string_value(text), err);
    if (!attn && !mlp)
        return tr_fail(err, TR_EUSAGE,
                       "%s names no dropped layers: a plan has \"drop\", a config "
                       "\"drop_attn_list\" or \"drop_mlp_list\"",
                       path);
    TR_TRY(add_list(set, TR_ATTN, path, attn, err));
    return add_list(set, TR_MLP, path, mlp, err);
}

static enum tr_status from_bytes(struct tr_drop_set *set, const char *path, const char *bytes,
                                 size_t size, struct tr_err *err) {
    json_t *value;
    char first = bytes[strspn(bytes, " \t\r\n")];
    if (first == '[')
        return tr_fail(err, TR_EUSAGE,
                       "%s is a list, and does not say of what: layers that are kept are named as "
                       "attn/32@%s, with what they are of and how many there were",
                       path, path);
    if (first != '{')
        return tr_drop_set_parse(set, bytes, err);
    TR_TRY(tr_json_parse(&value, bytes, size, path, err));
    enum tr_status status = from_object(set, path, value, err);
    json_decref(value);
    return status;
}

static enum tr_status from_file(struct tr_drop_set *set, const char *path, struct tr_err *err) {
    char *bytes;
    size_t size;
    TR_TRY(tr_file_load(path, LARGEST, &bytes, &size, err));
    enum tr_status status = from_bytes(set, path, bytes, size, err);
    free(bytes);
    return status;
}

enum tr_status tr_drop_set_read(struct tr_drop_set *set, const char *argument, struct tr_err *err) {
    *set = (struct tr_drop_set){0};
    if (!strchr(argument, '@'))
        return tr_drop_set_parse(set, argument, err);
    enum tr_status status = argument[0] == '@' ? from_file(set, argument + 1, err)
                                               : tr_kept_layers_read(set, argument, err);
    if (status != TR_OK)
        tr_drop_set_free(set);
    return status;
}
