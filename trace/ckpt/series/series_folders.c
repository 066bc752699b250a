// SPDX-License-Identifier: Apache-2.0
// Stages that folders above tell: pretrain/step1000 and anneal/step500 are two counts of steps.
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "base/training_order.h"
#include "series_steps.h"

// How many bytes of whole components all paths share at their beginning.
static size_t shared_head(const struct tr_series *series) {
    const char *first = series->entries[0].path;
    size_t head = strlen(first);
    for (int64_t i = 1; i < series->count; i++) {
        const char *path = series->entries[i].path;
        size_t same = 0, slash = 0;
        for (; same < head && first[same] == path[same]; same++)
            slash = first[same] == '/' ? same + 1 : slash;
        head = slash;
    }
    return head;
}

// A word of a folder's name as in 01_pretrain or sft-lr1e-5; some are words of other things, too.
static bool is_stage_word(const char *word) {
    static const char *const vague[] = {"base", "it",   "chat", "instruct", "stable", "constant",
                                        "mid",  "long", "ext",  "cool",     "phase",  "stage"};
    for (size_t i = 0; i < sizeof vague / sizeof *vague; i++)
        if (!strcasecmp(word, vague[i]))
            return false;
    return tr_stage_known(word);
}

// Hyper-parameters' own word: weight_decay, lr_decay.
static bool is_rate(const char *word) {
    return !strcasecmp(word, "weight") || !strcasecmp(word, "lr") || !strcasecmp(word, "rate");
}

// The only word of a folder's name that is a stage; "" when there is none, or more.
static void find_word(const char *folder, char out[TR_STAGE_MAX]) {
    char text[TR_STAGE_MAX], *rest = text;
    int found = 0;
    *out = 0;
    if (strlen(folder) >= sizeof text)
        return;
    strcpy(text, folder);
    const char *before = "";
    for (char *word; (word = strsep(&rest, "-_. ")); before = word)
        if (*word && !strpbrk(word, "0123456789") && !is_rate(before) && is_stage_word(word) &&
            !found++)
            strcpy(out, word);
    if (found > 1)
        *out = 0;
}

// The known stage that a folder's name tells, into the entry; whether it does.
static enum tr_status take_stage(bool *took_p, struct tr_series_entry *entry, const char *folder,
                                 const struct tr_name_rules *rules, struct tr_err *err) {
    struct tr_name name;
    TR_TRY(tr_name_parse(rules, folder, folder, &name, err));
    if (!*name.stage)
        find_word(folder, name.stage);
    *took_p = *name.stage && tr_stage_known(name.stage);
    if (*took_p)
        strcpy(entry->parsed.stage, name.stage);
    return TR_OK;
}

// Of the folders above, behind `head`, the nearest that tells a stage.
static enum tr_status look_above(struct tr_series_entry *entry, size_t head,
                                 const struct tr_name_rules *rules, struct tr_err *err) {
    char path[PATH_MAX];
    bool took = false;
    if (strlen(entry->path) >= sizeof path)
        return TR_OK;
    strcpy(path, entry->path);
    for (char *slash; !took && strlen(path) > head && (slash = strrchr(path + head, '/'));) {
        *slash = 0;
        slash = strrchr(path + head, '/');
        TR_TRY(take_stage(&took, entry, slash ? slash + 1 : path + head, rules, err));
    }
    return TR_OK;
}

enum tr_status tr_series_folder_stages(struct tr_series *series, const struct tr_name_rules *rules,
                                       struct tr_err *err) {
    size_t head = shared_head(series);
    for (int64_t i = 0; i < series->count && !tr_name_rules_give_stage(rules); i++) {
        struct tr_series_entry *entry = &series->entries[i];
        if (!(entry->given & TR_GIVEN_STAGE) && !*entry->parsed.stage)
            TR_TRY(look_above(entry, head, rules, err));
    }
    return TR_OK;
}
