// SPDX-License-Identifier: Apache-2.0
#include "format_find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strings.h"
#include "folder_scan.h"
#include "trainers/trainer_config.h"

// The formats, in the order in which they are preferred; recognised by the presence of a file.
static const struct tr_format formats[] = {
    {.name = "model.safetensors", .read = tr_read_safetensors},
    {.name = "model.safetensors.index.json", .read = tr_read_safetensors_index},
    {.name = "pytorch_model.bin", .read = tr_read_torch},
    {.name = "pytorch_model.bin.index.json", .read = tr_read_torch_index},
    {.name = "model.pt", .read = tr_read_torch},
    {.name = "model_and_optim/.metadata",
     .what = "an OLMo-core distributed checkpoint",
     .read = tr_read_distributed,
     .configure = tr_configure_olmo_core,
     .foreign_config = true},
    {.name = "pytorch_model_fsdp_0/.metadata",
     .what = "accelerate's distributed checkpoint",
     .read = tr_read_distributed},
    {.name = "weights/.metadata",
     .what = "a NeMo distributed checkpoint",
     .read = tr_read_distributed},
    {.name = ".metadata",
     .what = "a PyTorch distributed checkpoint",
     .read = tr_read_distributed,
     .configure = tr_configure_distributed},
    {.name = "mp_rank_00/model_optim_rng.pt",
     .what = "a Megatron checkpoint",
     .read = tr_read_megatron,
     .configure = tr_configure_megatron},
    {.name = "mp_rank_00_000/model_optim_rng.pt",
     .what = "a Megatron checkpoint",
     .read = tr_read_megatron,
     .configure = tr_configure_megatron},
    {.name = "layer_00-model_00-model_states.pt",
     .what = "a GPT-NeoX checkpoint",
     .read = tr_read_neox,
     .configure = tr_configure_neox},
    {.name = "zero", .what = "a DeepSpeed universal checkpoint", .read = tr_read_universal},
    {.name = "mp_rank_00_model_states.pt",
     .what = "a DeepSpeed checkpoint",
     .read = tr_read_deepspeed},
    {.name = "zero_pp_rank_0_mp_rank_00_model_states.pt",
     .what = "a DeepSpeed ZeRO-3 checkpoint",
     .read = tr_read_zero3},
    {.name = "checkpoint_metadata.json",
     .what = "a nanotron checkpoint",
     .read = tr_read_nanotron,
     .configure = tr_configure_nanotron},
    {.name = "lit_model.pth",
     .what = "a litgpt checkpoint",
     .read = tr_read_torch,
     .configure = tr_configure_litgpt},
    {.name = "consolidated.00.pth",
     .what = "a checkpoint in Meta's layout",
     .read = tr_read_meta,
     .configure = tr_configure_meta},
    {.name = "pytorch_model_fsdp.bin", .read = tr_read_torch},
    {.name = "ep*-ba*-rank0.pt", .read = tr_read_torch},
    {.name = "*.ckpt", .read = tr_read_torch},
    {.name = "*.pth", .read = tr_read_torch},
    {.name = "*.pt", .read = tr_read_torch},
};
enum {
    FORMATS = sizeof formats / sizeof *formats,
    LISTED = 5, // Hugging Face's own, which sentences name
};

static bool is_pattern(const struct tr_format *format) {
    return strchr(format->name, '*') != NULL;
}

// What trainers keep beside the weights in files of their own.
bool tr_is_state_file(const char *name) {
    static const char *const patterns[] = {
        "optim*",       "scheduler*", "rng_state*",      "random_states*",  "training_args*",
        "scaler*",      "*optim_*",   "*_optim*",        "meta*",           "common.pt",
        "train_state*", "latest*",    "dataloader*",     "lr_scheduler*",   "trainer*",
        "tokenizer*",   "*.tmp.*",    "*zero_pp_rank_*", "layer_*-model_*", "model_world_size_*",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (!fnmatch(patterns[i], name, FNM_PERIOD))
            return true;
    return false;
}

bool tr_is_checkpoint_file(const char *name) {
    for (int i = LISTED; i < FORMATS; i++)
        if (is_pattern(&formats[i]) && !fnmatch(formats[i].name, name, FNM_PERIOD))
            return !tr_is_state_file(name);
    return false;
}

// ---- in a folder -------------------------------------------------------------------------------

enum tr_status tr_folder_has(const char *folder, const char *name, bool *has_p,
                             struct tr_err *err) {
    char *path;
    TR_TRY(tr_path_join(&path, folder, name, err));
    *has_p = faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    free(path);
    return TR_OK;
}

enum tr_status tr_folder_has_weights(const char *folder, bool *has_p, struct tr_err *err) {
    *has_p = false;
    for (int i = 0; i < FORMATS && !*has_p; i++)
        if (!is_pattern(&formats[i]))
            TR_TRY(tr_folder_has(folder, formats[i].name, has_p, err));
    return TR_OK;
}

// The files of a folder that a pattern fits: how many, and the first in natural order.
struct matches {
    int count;
    char first[256];
};

static enum tr_status match_file(const char *folder, const char *pattern, const char *name,
                                 struct matches *found, struct tr_err *err) {
    char *path;
    if (fnmatch(pattern, name, FNM_PERIOD) || tr_is_state_file(name))
        return TR_OK;
    TR_TRY(tr_path_join(&path, folder, name, err));
    bool folder_there = tr_is_folder(path);
    free(path);
    if (folder_there)
        return TR_OK;
    if (!found->count++ || tr_natural_compare(name, found->first) < 0)
        snprintf(found->first, sizeof found->first, "%s", name);
    return TR_OK;
}

static enum tr_status match_pattern(const char *folder, const char *pattern, struct matches *found,
                                    struct tr_err *err) {
    DIR *entries = opendir(folder);
    enum tr_status status = TR_OK;
    if (!entries)
        return tr_fail(err, TR_EIO, "cannot open the folder %s: %s", folder, strerror(errno));
    for (struct dirent *entry; status == TR_OK && (entry = readdir(entries));)
        status = match_file(folder, pattern, entry->d_name, found, err);
    closedir(entries);
    return status;
}

// Whether the folder shows the format; *name_p is then the name of the file that does.
static enum tr_status shows(const char *folder, const struct tr_format *format, bool *shows_p,
                            char **name_p, struct tr_err *err) {
    struct matches found = {0};
    bool has = false;
    *shows_p = false;
    if (!is_pattern(format)) {
        TR_TRY(tr_folder_has(folder, format->name, &has, err));
        return has && (*shows_p = true) ? tr_strdup(name_p, format->name, err) : TR_OK;
    }
    TR_TRY(match_pattern(folder, format->name, &found, err));
    if (found.count > 1)
        return tr_fail(err, TR_EFORMAT,
                       "%s holds %d files that each may be a checkpoint (%s, ...): give the files",
                       folder, found.count, found.first);
    return found.count && (*shows_p = true) ? tr_strdup(name_p, found.first, err) : TR_OK;
}

static enum tr_status refuse(const char *folder, struct tr_err *err) {
    struct tr_string names = {0};
    enum tr_status status = TR_OK;
    for (int i = 0; i < LISTED && status == TR_OK; i++)
        status = tr_string_format(&names, err, "%s%s",
                                  !i                ? ""
                                  : i == LISTED - 1 ? " or "
                                                    : ", ",
                                  formats[i].name);
    if (status == TR_OK)
        status = tr_refuse_folder(folder, names.data, err);
    tr_string_free(&names);
    return status;
}

// Notes a format that is there, too.
static enum tr_status note_other(struct tr_string *choice, const char *name, const char *other,
                                 struct tr_err *err) {
    return choice->size ? tr_string_format(choice, err, " or %s", other)
                        : tr_string_format(choice, err, "%s is read, not %s", name, other);
}

// The first format of a folder; NULL when there is none.
static enum tr_status look(struct tr_checkpoint *checkpoint, struct tr_found_format *found,
                           struct tr_err *err) {
    *found = (struct tr_found_format){0};
    for (int i = 0; i < FORMATS; i++) {
        char *name = NULL;
        bool there = false;
        if (found->format && is_pattern(&formats[i]))
            break; // what is chosen is certain, a pattern is not
        TR_TRY(shows(checkpoint->folder, &formats[i], &there, &name, err));
        if (there && !found->format) {
            found->format = &formats[i];
            found->name = name;
            continue;
        }
        enum tr_status status =
            there ? note_other(&checkpoint->choice, found->name, name, err) : TR_OK;
        free(name);
        TR_TRY(status);
    }
    return TR_OK;
}

// A trainer's folder of one checkpoint may have the weights in a folder below, which the file
// "latest" names (DeepSpeed): goes there where no other could be meant.
static enum tr_status follow_latest(struct tr_checkpoint *checkpoint, struct tr_err *err) {
    struct tr_names folders;
    char *path;
    TR_TRY(tr_path_join(&path, checkpoint->folder, "latest", err));
    bool there = tr_file_exists(path);
    free(path);
    if (!there)
        return TR_OK;
    TR_TRY(tr_names_list(&folders, checkpoint->folder, "global_step*", err));
    enum tr_status status = TR_OK;
    if (folders.count == 1) {
        status = tr_path_join(&path, checkpoint->folder, folders.names[0], err);
        checkpoint->above = status == TR_OK ? checkpoint->folder : NULL;
        checkpoint->folder = status == TR_OK ? path : checkpoint->folder;
    }
    tr_names_free(&folders);
    return status;
}

enum tr_status tr_format_of_folder(struct tr_checkpoint *checkpoint, struct tr_found_format *found,
                                   struct tr_err *err) {
    TR_TRY(look(checkpoint, found, err));
    if (found->format)
        return TR_OK;
    TR_TRY(follow_latest(checkpoint, err));
    if (checkpoint->above)
        TR_TRY(look(checkpoint, found, err));
    return found->format ? TR_OK
                         : refuse(checkpoint->above ? checkpoint->above : checkpoint->folder, err);
}

// ---- a file by itself --------------------------------------------------------------------------

enum tr_status tr_format_of_file(const struct tr_checkpoint *checkpoint, const char *name,
                                 struct tr_found_format *found, struct tr_err *err) {
    for (int i = 0; i < FORMATS; i++)
        if (!fnmatch(formats[i].name, name, FNM_PERIOD)) {
            found->format = &formats[i];
            return tr_strdup(&found->name, name, err);
        }
    return tr_fail(err, TR_EUSAGE, "%s/%s is a file that is no checkpoint by itself",
                   checkpoint->folder, name);
}
