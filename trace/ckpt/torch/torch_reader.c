// SPDX-License-Identifier: Apache-2.0
// Opens a checkpoint that torch.save wrote whole: a dict of tensors, or one within what a trainer
// saved beside them.
#include "reader.h"
#include "torch_dict.h"

static enum tr_status add_value(struct tr_checkpoint *checkpoint, const struct tr_torch *torch,
                                struct tr_err *err) {
    struct tr_torch_dict dict;
    const struct tr_value *value = tr_torch_unwrap(torch->root);
    if (!tr_torch_items(value))
        return tr_torch_refuse(torch->path, value, err);
    TR_TRY(tr_torch_dict_read(&dict, value, torch->path, err));
    enum tr_status status =
        dict.count ? tr_torch_add(checkpoint, torch, &dict, err)
                   : tr_fail(err, TR_EFORMAT, "%s holds no tensors by name", torch->path);
    tr_torch_dict_free(&dict);
    return status;
}

enum tr_status tr_add_torch(struct tr_checkpoint *checkpoint, const char *name,
                            struct tr_err *err) {
    struct tr_torch torch;
    TR_TRY(tr_torch_add_file(&torch, checkpoint, name, err));
    enum tr_status status = add_value(checkpoint, &torch, err);
    tr_torch_close(&torch);
    return status;
}

enum tr_status tr_read_torch(struct tr_checkpoint *checkpoint, const char *name,
                             struct tr_err *err) {
    TR_TRY(tr_add_torch(checkpoint, name, err));
    return tr_checkpoint_sort(checkpoint, err);
}

enum tr_status tr_read_torch_index(struct tr_checkpoint *checkpoint, const char *name,
                                   struct tr_err *err) {
    return tr_read_shards(checkpoint, name, tr_add_torch, err);
}
