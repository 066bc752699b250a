// SPDX-License-Identifier: Apache-2.0
#include "whole.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "folder_scan.h"
#include "reader.h"
#include "torch/torch_file.h"

// What a file that is written last has to be.
enum test {
    IS_THERE,  // renamed into place, or written behind all else
    IS_NEWEST, // the same, and no *.distcp beside it is newer: of a folder that is written anew
    IS_JSON,   // it parses, so it was written to its end
    IS_TORCH,
    HAS_NUMBER, // it holds the number of this checkpoint or a later one, or its name
    MAY_NUMBER, // the same, where the file is there
};

// A checkpoint whose name fits `name`, and which has an entry that fits `sign` (NULL: any), is not
// whole before `last` ("../": beside it) passes the test. All rows that apply have to. Sources: the
// writers' own code, in the order in which they write.
struct rule {
    const char *name, *sign, *last;
    enum test test;
    bool says;       // nothing of the weights is written behind it
    double patience; // see struct tr_whole
};
static const struct rule rules[] = {
    // torch.distributed.checkpoint: data files, then .metadata.tmp, renamed.
    {"*", "*.distcp", ".metadata", IS_NEWEST, true, 0},
    {"*", ".metadata", ".metadata", IS_NEWEST, true, 0},
    {"*", "weights", "weights/.metadata", IS_NEWEST, true, 0}, // NeMo
    {"*", "pytorch_model_fsdp_0", "pytorch_model_fsdp_0/.metadata", IS_NEWEST, true, 0},
    // Lightning's FSDP: then meta.pt, by rank 0.
    {"*.ckpt", ".metadata", "meta.pt", IS_TORCH, true, 0},
    // OLMo-core: behind all else, also where the folder was renamed.
    {"*", "model_and_optim", "model_and_optim/.metadata", IS_NEWEST, true, 0},
    {"*", "model_and_optim", ".metadata.json", IS_JSON, true, 0},
    // Megatron: a barrier, then the tracker.
    {"iter_[0-9]*", NULL, "../latest_checkpointed_iteration.txt", HAS_NUMBER, true, 0},
    {"release", "mp_rank_*", "../latest_checkpointed_iteration.txt", HAS_NUMBER, true, 0},
    {"iter_[0-9]*", "*.distcp", "metadata.json", IS_JSON, true, 0},
    // DeepSpeed: `latest` before the last barrier, and not at all with save_latest=False.
    {"*", "*_model_states.pt", "../latest", MAY_NUMBER, false, 60},
    {"*", "zero", "../latest_universal", MAY_NUMBER, false, 60},
    {"checkpoint-[0-9]*", "global_step*", "latest", IS_THERE, false, 0},
    // Hugging Face's Trainer; others have folders of such names, too.
    {"checkpoint-[0-9]*", NULL, "trainer_state.json", IS_JSON, true, 60},
    // litgpt.
    {"*", "lit_model.pth", "model_config.yaml", IS_THERE, false, 60},
    // nanotron: latest.txt, then model_config.json.
    {"[0-9]*", "checkpoint_metadata.json", "../latest.txt", HAS_NUMBER, false, 0},
    {"[0-9]*", "checkpoint_metadata.json", "model_config.json", IS_JSON, true, 0},
};
enum { RULES = sizeof rules / sizeof *rules };

enum { SKEW_PATIENCE = 60 };      // seconds
enum { SMALL_LIMIT = 256 << 20 }; // bytes

bool tr_is_passing(const char *name, bool is_folder) {
    static const char *const patterns[] = {
        ".*",
        "tmp-*",
        "*-tmp",
        "*.tmp",
        "*.tmp-*",
        "*.tmp.*",
        "*.orbax-checkpoint-tmp-*",
        "*.part",
        "*.partial",
        "*.incomplete",
        "latest*",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (!fnmatch(patterns[i], name, 0))
            return true;
    return !is_folder && !tr_is_checkpoint_file(name);
}

// ---- the tests ---------------------------------------------------------------------------------

static const char *leaf(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_json(const char *path) {
    json_t *value;
    if (tr_json_load(&value, path, SMALL_LIMIT, NULL) != TR_OK)
        return false;
    json_decref(value);
    return true;
}

static bool is_torch(const char *path) {
    struct tr_torch torch;
    if (tr_torch_load(&torch, path, NULL) != TR_OK)
        return false;
    tr_torch_close(&torch);
    return true;
}

// The last run of digits in a text; -1 where there is none.
static double last_number(const char *text) {
    const char *end = text + strlen(text);
    while (end > text && !isdigit((unsigned char)end[-1]))
        end--;
    const char *begin = end;
    while (begin > text && isdigit((unsigned char)begin[-1]))
        begin--;
    return begin < end ? strtod(begin, NULL) : -1;
}

static bool has_number(const char *path, const char *name) {
    enum { LIMIT = 4096 };
    char *text;
    size_t size;
    if (tr_file_load(path, LIMIT, &text, &size, NULL) != TR_OK)
        return false;
    while (size && isspace((unsigned char)text[size - 1]))
        text[--size] = 0;
    double wanted = last_number(name), found = last_number(text);
    bool reached = !strcmp(text, name) || (wanted >= 0 && found >= wanted);
    free(text);
    return reached;
}

static bool is_newer(const struct stat *a, const struct stat *b) {
    return a->st_mtim.tv_sec > b->st_mtim.tv_sec ||
           (a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec > b->st_mtim.tv_nsec);
}

static enum tr_status has_newer(bool *newer_p, const char *path, const struct stat *last,
                                struct tr_err *err) {
    struct tr_names names = {0};
    struct stat info;
    char *folder, *file;
    *newer_p = false;
    TR_TRY(tr_strdup(&folder, path, err));
    *strrchr(folder, '/') = 0;
    enum tr_status status = tr_names_list(&names, folder, "*.distcp", NULL);
    if (status != TR_OK) // it vanished
        *newer_p = true;
    for (int64_t i = 0; i < names.count && !*newer_p; i++) {
        if ((status = tr_path_join(&file, folder, names.names[i], err)) != TR_OK)
            break;
        *newer_p = stat(file, &info) || is_newer(&info, last);
        free(file);
    }
    tr_names_free(&names);
    free(folder);
    return status == TR_ENOMEM ? status : TR_OK;
}

static enum tr_status passes(bool *passes_p, const struct rule *rule, const char *path,
                             const char *name, struct stat *info, struct tr_err *err) {
    bool there = !stat(path, info) && S_ISREG(info->st_mode), newer = false;
    *passes_p = there;
    if (!there) {
        *info = (struct stat){0};
        *passes_p = rule->test == MAY_NUMBER;
        return TR_OK;
    }
    switch (rule->test) {
    case IS_THERE:
        return TR_OK;
    case IS_NEWEST:
        TR_TRY(has_newer(&newer, path, info, err));
        *passes_p = !newer;
        return TR_OK;
    case IS_JSON:
        *passes_p = is_json(path);
        return TR_OK;
    case IS_TORCH:
        *passes_p = is_torch(path);
        return TR_OK;
    default:
        *passes_p = has_number(path, name);
        return TR_OK;
    }
}

// ---- the table ---------------------------------------------------------------------------------

static bool has_entry(const struct tr_names *names, const char *path, const char *sign,
                      struct tr_err *err) {
    bool has = false;
    if (*sign == '.')
        return tr_folder_has(path, sign, &has, err) == TR_OK && has;
    for (int64_t i = 0; i < names->count && !has; i++)
        has = !fnmatch(sign, names->names[i], 0);
    return has;
}

static enum tr_status apply(struct tr_whole *whole, const struct rule *rule, const char *path,
                            struct tr_err *err) {
    struct stat info;
    bool passed;
    char *last;
    TR_TRY(tr_path_join(&last, path, rule->last, err));
    enum tr_status status = passes(&passed, rule, last, leaf(path), &info, err);
    free(last);
    TR_TRY(status);
    whole->known = true;
    whole->said = whole->said || (passed && rule->says);
    // A tracker beside it is written for others, too.
    if (passed && rule->says && strncmp(rule->last, "../", 3)) {
        whole->last = rule->last;
        whole->info = info;
    }
    if (passed || *whole->waits_for)
        return TR_OK;
    snprintf(whole->waits_for, sizeof whole->waits_for, "%s, which %s", leaf(rule->last),
             rule->test == HAS_NUMBER || rule->test == MAY_NUMBER ? "does not name it yet"
                                                                  : "is written last");
    // Clocks of nodes may differ: what seems newer and rests is not being written.
    whole->patience = rule->test == IS_NEWEST && info.st_ino ? SKEW_PATIENCE : rule->patience;
    return TR_OK;
}

static enum tr_status apply_rules(struct tr_whole *whole, const char *path, const char *name,
                                  struct tr_err *err) {
    struct tr_names names = {0};
    if (tr_names_list(&names, path, "*", NULL) != TR_OK)
        return TR_OK; // it vanished
    enum tr_status status = TR_OK;
    for (int i = 0; i < RULES && status == TR_OK; i++)
        if (!fnmatch(rules[i].name, name, 0) &&
            (!rules[i].sign || has_entry(&names, path, rules[i].sign, err)))
            status = apply(whole, &rules[i], path, err);
    tr_names_free(&names);
    return status;
}

// NeMo puts a file of this name beside a checkpoint that it has not finished.
static enum tr_status find_marker(struct tr_whole *whole, const char *path, struct tr_err *err) {
    struct tr_string marker = {0};
    TR_TRY(tr_string_format(&marker, err, "%s-unfinished", path));
    if (tr_file_exists(marker.data)) {
        whole->known = true;
        snprintf(whole->waits_for, sizeof whole->waits_for,
                 "the end of what its marker -unfinished says");
    }
    tr_string_free(&marker);
    return TR_OK;
}

enum tr_status tr_whole_look(struct tr_whole *whole, const char *run, const char *name,
                             struct tr_err *err) {
    char *path;
    *whole = (struct tr_whole){0};
    TR_TRY(tr_path_join(&path, run, name, err));
    enum tr_status status = find_marker(whole, path, err);
    if (status == TR_OK && tr_is_folder(path))
        status = apply_rules(whole, path, name, err);
    free(path);
    // What one row says does not count while another waits.
    whole->said = whole->said && !*whole->waits_for;
    return status;
}
