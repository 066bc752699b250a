// SPDX-License-Identifier: Apache-2.0
// Which token stands where there is no context, and what begins a text.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "eval/prompt_tokens.h"

// A token as these files have it: text, or an object with its text as "content".
static const char *token_text(const json_t *value) {
    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

// The prefix token of one file beside the tokenizer; *text_p stays NULL where it names none.
static enum tr_status read_file(char **text_p, const char *folder, const char *name,
                                struct tr_err *err) {
    static const char *const keys[] = {"bos_token", "eos_token"};
    static const uint64_t limit = UINT64_C(256) << 20;
    char *path;
    json_t *value = NULL;
    TR_TRY(tr_path_join(&path, folder, name, err));
    enum tr_status status = tr_file_exists(path) ? tr_json_load(&value, path, limit, err) : TR_OK;
    free(path);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && status == TR_OK && !*text_p; i++) {
        const char *text = token_text(json_object_get(value, keys[i]));
        if (text)
            status = tr_strdup(text_p, text, err);
    }
    json_decref(value);
    return status;
}

static enum tr_status find_prefix(char **text_p, const char *path, struct tr_err *err) {
    static const char *const files[] = {"tokenizer_config.json", "special_tokens_map.json"};
    char *folder;
    const char *slash = strrchr(path, '/');
    TR_TRY(tr_strdup(&folder, slash ? path : ".", err));
    if (slash)
        folder[slash - path] = '\0';
    enum tr_status status = TR_OK;
    for (size_t i = 0; i < sizeof files / sizeof *files && status == TR_OK && !*text_p; i++)
        status = read_file(text_p, folder, files[i], err);
    free(folder);
    if (status == TR_OK && !*text_p)
        status = tr_fail(err, TR_EUSAGE,
                         "beside %s no tokenizer_config.json names a bos_token or eos_token, which "
                         "stands where a request has no context; name one with --prefix-token",
                         path);
    return status;
}

static enum tr_status check_template(const struct tr_prompt_rules *rules, const char *path,
                                     struct tr_err *err) {
    const char *template = tr_tokenizer_template(rules->tokenizer);
    size_t size = strlen(template);
    if (rules->begin == TR_BEGIN_NEVER)
        return TR_OK;
    if (!size || template[size - 1] != 'A')
        return tr_fail(err, TR_EUSAGE,
                       "%s puts something behind a text (%.80s), so that no continuation can be "
                       "told from it; --add-bos no leaves it out",
                       path, template);
    if (rules->begin == TR_BEGIN_ALWAYS && size == 1)
        return tr_fail(err, TR_EUSAGE, "%s puts nothing before a text, and --add-bos is yes", path);
    return TR_OK;
}

enum tr_status tr_prompt_rules_make(struct tr_prompt_rules *rules,
                                    const struct tr_tokenizer *tokenizer, const char *path,
                                    const char *prefix_text, enum tr_begin_rule begin,
                                    int64_t max_length, struct tr_err *err) {
    char *text = NULL;
    struct tr_prompt_rules made = {
        .tokenizer = tokenizer, .begin = begin, .max_length = max_length};
    TR_TRY(check_template(&made, path, err));
    TR_TRY(prefix_text ? tr_strdup(&text, prefix_text, err) : find_prefix(&text, path, err));
    made.prefix = tr_tokenizer_id(tokenizer, text);
    made.prefix_text = text;
    if (made.prefix < 0) {
        enum tr_status status =
            tr_fail(err, TR_EUSAGE, "%s has no token \"%.80s\" to stand where there is no context",
                    path, text);
        free(text);
        return status;
    }
    *rules = made;
    return TR_OK;
}

void tr_prompt_rules_free(struct tr_prompt_rules *rules) {
    free((char *)rules->prefix_text);
    *rules = (struct tr_prompt_rules){0};
}
