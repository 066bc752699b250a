// SPDX-License-Identifier: Apache-2.0
// Opens what DeepSpeed writes: the module's state dict whole (ZeRO-0, 1, 2), a file for each rank
// of model parallelism; or a folder for each parameter (universal). (Source: deepspeed/runtime/
// engine.py and deepspeed/checkpoint/ds_to_universal.py.)
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "folder_scan.h"
#include "reader.h"
#include "torch/torch_dict.h"

// Names that stand for a parameter of another name (a tied head) go.
static void drop_aliases(struct tr_torch_dict *dict, const struct tr_value *shared) {
    int64_t kept = 0;
    for (int64_t i = 0; i < dict->count; i++)
        if (tr_value_get(shared, dict->items[i].name))
            free(dict->items[i].name);
        else
            dict->items[kept++] = dict->items[i];
    dict->count = kept;
}

static enum tr_status add_module(struct tr_checkpoint *checkpoint, const struct tr_torch *torch,
                                 struct tr_err *err) {
    struct tr_torch_dict dict;
    const struct tr_value *module = tr_torch_items(tr_value_get(torch->root, "module"));
    if (!module)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s has no \"module\": the weights of a pipeline are in files of their own",
                       torch->path);
    TR_TRY(tr_torch_dict_read(&dict, module, torch->path, err));
    drop_aliases(&dict, tr_value_get(torch->root, "shared_params"));
    enum tr_status status = tr_torch_add(checkpoint, torch, &dict, err);
    tr_torch_dict_free(&dict);
    return status;
}

static enum tr_status add_rank(struct tr_checkpoint *checkpoint, const char *name,
                               struct tr_err *err) {
    struct tr_torch torch;
    TR_TRY(tr_torch_add_file(&torch, checkpoint, name, err));
    enum tr_status status = add_module(checkpoint, &torch, err);
    tr_torch_close(&torch);
    return status;
}

enum tr_status tr_read_deepspeed(struct tr_checkpoint *checkpoint, const char *name,
                                 struct tr_err *err) {
    struct tr_names files;
    enum tr_status status = TR_OK;
    (void)name;
    TR_TRY(tr_names_list(&files, checkpoint->folder, "mp_rank_[0-9][0-9]_model_states.pt", err));
    checkpoint->model_parallel = (int)files.count;
    for (int64_t i = 0; i < files.count && status == TR_OK; i++)
        status = add_rank(checkpoint, files.names[i], err);
    tr_names_free(&files);
    return status == TR_OK ? tr_checkpoint_sort(checkpoint, err) : status;
}

// ---- universal ---------------------------------------------------------------------------------

// The tensor of a file: it is one, or has one as "param".
static enum tr_status add_param(struct tr_checkpoint *checkpoint, const struct tr_torch *torch,
                                const char *param, struct tr_err *err) {
    const struct tr_value *value = torch->root;
    struct tr_tensor tensor = {0};
    if (value->kind != TR_VALUE_TENSOR)
        value = tr_value_get(torch->root, "param");
    if (!value || value->kind != TR_VALUE_TENSOR)
        return tr_fail(err, TR_EFORMAT, "%s holds no tensor", torch->path);
    TR_TRY(tr_checkpoint_keep(checkpoint, param, &tensor.name, err));
    TR_TRY(tr_torch_tensor(torch, value, &tensor, err));
    return tr_checkpoint_add_tensors(checkpoint, &tensor, 1, err);
}

static enum tr_status add_universal(struct tr_checkpoint *checkpoint, const char *param,
                                    struct tr_err *err) {
    struct tr_torch torch;
    bool there = false;
    char name[512];
    snprintf(name, sizeof name, "zero/%.400s/fp32.pt", param);
    TR_TRY(tr_folder_has(checkpoint->folder, name, &there, err));
    if (!there)
        return TR_OK; // the optimizer's state beside the parameters
    TR_TRY(tr_torch_add_file(&torch, checkpoint, name, err));
    enum tr_status status = add_param(checkpoint, &torch, param, err);
    tr_torch_close(&torch);
    return status;
}

enum tr_status tr_read_universal(struct tr_checkpoint *checkpoint, const char *name,
                                 struct tr_err *err) {
    struct tr_names params;
    char *folder;
    TR_TRY(tr_path_join(&folder, checkpoint->folder, name, err));
    enum tr_status status = tr_names_list(&params, folder, "*", err);
    free(folder);
    TR_TRY(status);
    for (int64_t i = 0; i < params.count && status == TR_OK; i++)
        status = add_universal(checkpoint, params.names[i], err);
    tr_names_free(&params);
    return status == TR_OK ? tr_checkpoint_sort(checkpoint, err) : status;
}
