// SPDX-License-Identifier: Apache-2.0
#include "quantized_names.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "model/layer_names.h"

// A number by itself in a pattern, as behind "layers\." or in "(3|4)", may be a layer's; one behind
// a letter, as in "w1", is not.
static bool may_count(const char *pattern) {
    char before = 0;
    for (const char *at = pattern; *at; before = *at++)
        if (isdigit((unsigned char)*at) && !isalnum((unsigned char)before) && before != '_')
            return true;
    return false;
}

static bool is_pattern(const char *entry) {
    return !strncmp(entry, "re:", 3) || !strncmp(entry, "-:", 2) || !strncmp(entry, "+:", 2);
}

// The name as it becomes, *name_p NULL where it is of a layer that is gone; freed by the caller.
static enum tr_status rename_module(char **name_p, const struct tr_drop_job *job, const char *name,
                                    struct tr_err *err) {
    struct tr_string renamed = {0};
    const char *number = tr_layer_number(job->config.family, name);
    char *end = NULL;
    long long layer = number ? strtoll(number, &end, 10) : -1;
    if (is_pattern(name) && may_count(name))
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: \"%.96s\" of \"quantization_config\" is a pattern that may count "
                       "layers, and they are counted anew: leave layers out before quantizing",
                       job->config_path, name);
    if (is_pattern(name) || layer < 0 || layer >= job->config.layers) {
        TR_TRY(tr_string_format(&renamed, err, "%s", name));
    } else if (job->number[layer] >= 0) {
        TR_TRY(tr_string_format(&renamed, err, "%.*s%lld%s", (int)(number - name), name,
                                (long long)job->number[layer], end));
    }
    *name_p = renamed.data;
    return TR_OK;
}

static enum tr_status rename_list(const struct tr_drop_job *job, json_t *object, const char *key,
                                  struct tr_err *err) {
    json_t *list = json_object_get(object, key), *entry, *renamed = json_array();
    enum tr_status status = TR_OK;
    size_t i;
    json_array_foreach(list, i, entry) {
        char *name = NULL;
        const char *text = json_string_value(entry);
        if (status == TR_OK && text)
            status = rename_module(&name, job, text, err);
        if (!text)
            json_array_append(renamed, entry);
        else if (name)
            json_array_append_new(renamed, json_string(name));
        free(name);
    }
    if (status == TR_OK && json_is_array(list) && json_object_set(object, key, renamed))
        status = tr_fail(err, TR_ENOMEM, "out of memory for \"%s\"", key);
    json_decref(renamed);
    return status;
}

// Keys of an object are looked at alone: each is a pattern.
static enum tr_status check_keys(const struct tr_drop_job *job, const json_t *object,
                                 struct tr_err *err) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        char *name = NULL;
        TR_TRY(rename_module(&name, job, key, err));
        free(name);
    }
    return TR_OK;
}

enum tr_status tr_renumber_quantized(const struct tr_drop_job *job, json_t *root,
                                     struct tr_err *err) {
    json_t *quantized = json_object_get(root, "quantization_config"), *group;
    const char *key;
    TR_TRY(rename_list(job, quantized, "ignore", err));
    TR_TRY(rename_list(job, quantized, "modules_to_not_convert", err));
    TR_TRY(check_keys(job, json_object_get(quantized, "dynamic"), err));
    json_object_foreach(json_object_get(quantized, "config_groups"), key, group)
        TR_TRY(rename_list(job, group, "targets", err));
    return TR_OK;
}
