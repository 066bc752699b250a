// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TORCH_DICT_H
#define TR_TORCH_DICT_H

#include "reader.h"
#include "torch_file.h"

// The tensors of a dict that torch.save wrote, by name. Dicts in it are gone into: the names along
// the way are joined by dots. Internal.

struct tr_torch_item {
    char *name;
    const struct tr_value *value; // of kind TR_VALUE_TENSOR
};

struct tr_torch_dict {
    struct tr_torch_item *items; // [count], in the order of the file
    int64_t count;
    uint64_t capacity;
};

// The dict that a value is, or whose items it has as an object of a class that is a dict with more
// to it. NULL for others: the attributes of an object are none of its items.
const struct tr_value *tr_torch_items(const struct tr_value *value);

// The tensors of `value`, which has a dict in that sense. `path` opens the sentence when a name
// cannot be one. What an optimizer or a loader of data keeps is left out (tr_is_training_state).
enum tr_status tr_torch_dict_read(struct tr_torch_dict *dict, const struct tr_value *value,
                                  const char *path, struct tr_err *err);
void tr_torch_dict_free(struct tr_torch_dict *dict);

// The state dict of a model within what a trainer saved beside it ("state_dict", "model",
// "module" ...), else the value itself. May be an object that is no dict: a whole module.
const struct tr_value *tr_torch_unwrap(const struct tr_value *value);

// Adds the tensors of `dict` to the checkpoint, each of one piece in the file added last, which is
// the one that `torch` has open.
enum tr_status tr_torch_add(struct tr_checkpoint *checkpoint, const struct tr_torch *torch,
                            const struct tr_torch_dict *dict, struct tr_err *err);

// Adds the file `name` to the checkpoint, opens it, and adds the bytes of it that describe its
// tensors to the identity. To be closed when that succeeds.
enum tr_status tr_torch_add_file(struct tr_torch *torch, struct tr_checkpoint *checkpoint,
                                 const char *name, struct tr_err *err);

#endif
