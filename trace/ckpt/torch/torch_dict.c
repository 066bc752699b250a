// SPDX-License-Identifier: Apache-2.0
#include "torch_dict.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"

enum { NAME_LIMIT = 512, DEPTH = 8, VISITS = 1 << 20 };

// Dicts of a pickle may contain themselves, so that both the depth and the work are bounded.
struct walk {
    struct tr_torch_dict *dict;
    const char *path;
    char name[NAME_LIMIT];
    int visits;
    struct tr_err *err;
};

// ---- where a trainer keeps the model -----------------------------------------------------------

const struct tr_value *tr_torch_items(const struct tr_value *value) {
    if (value && value->kind == TR_VALUE_OBJECT)
        value = value->object.items;
    return value && value->kind == TR_VALUE_DICT ? value : NULL;
}

// What may be a state dict, or stands where one should be.
static const struct tr_value *find_inner(const struct tr_value *dict, const char *key) {
    const struct tr_value *found = tr_value_get(dict, key);
    return found && (tr_torch_items(found) || tr_value_class(found)) ? found : NULL;
}

const struct tr_value *tr_torch_unwrap(const struct tr_value *value) {
    static const char *const keys[] = {"state_dict", "model", "module", "model_state_dict",
                                       "state"};
    enum { KEYS = sizeof keys / sizeof *keys, LEVELS = 4 };
    for (int level = 0; level < LEVELS && tr_torch_items(value); level++) {
        const struct tr_value *inner = NULL;
        for (int i = 0; i < KEYS && !inner; i++)
            inner = find_inner(tr_torch_items(value), keys[i]);
        if (!inner)
            break;
        value = inner;
    }
    return value;
}

// ---- the tensors -------------------------------------------------------------------------------

static enum tr_status add_item(struct walk *w, const struct tr_value *value) {
    struct tr_torch_dict *dict = w->dict;
    TR_TRY(tr_grow((void **)&dict->items, &dict->capacity, (uint64_t)dict->count + 1,
                   sizeof *dict->items, "the tensors of a file", w->err));
    dict->items[dict->count].value = value;
    TR_TRY(tr_strdup(&dict->items[dict->count].name, w->name, w->err));
    dict->count++;
    return TR_OK;
}

// Puts a part behind the name's first `length` characters.
static enum tr_status extend(struct walk *w, size_t length, struct tr_slice part, bool *fits_p) {
    size_t dot = length ? 1 : 0;
    *fits_p = part.size < NAME_LIMIT - length - dot;
    if (memchr(part.bytes, 0, part.size))
        return tr_fail(w->err, TR_EFORMAT, "%s: the name of a tensor has a 0 in it", w->path);
    if (!*fits_p)
        return TR_OK;
    if (dot)
        w->name[length] = '.';
    memcpy(w->name + length + dot, part.bytes, part.size);
    w->name[length + dot + part.size] = 0;
    return TR_OK;
}

static enum tr_status visit(struct walk *w, const struct tr_value *value, size_t length,
                            int depth) {
    const struct tr_value *dict = tr_torch_items(value);
    for (uint64_t i = 0; dict && depth < DEPTH && i < dict->sequence.count; i += 2) {
        const struct tr_value *key = dict->sequence.items[i], *item = dict->sequence.items[i + 1];
        bool fits = false, tensor = item->kind == TR_VALUE_TENSOR;
        if (key->kind != TR_VALUE_TEXT || (!tensor && !tr_torch_items(item)))
            continue;
        if (++w->visits > VISITS)
            return tr_fail(w->err, TR_EUNSUPPORTED, "%s has more than %d tensors and dicts",
                           w->path, VISITS);
        TR_TRY(extend(w, length, key->text, &fits));
        if (!fits || tr_is_training_state(w->name))
            continue;
        TR_TRY(tensor ? add_item(w, item) : visit(w, item, strlen(w->name), depth + 1));
    }
    return TR_OK;
}

enum tr_status tr_torch_dict_read(struct tr_torch_dict *dict, const struct tr_value *value,
                                  const char *path, struct tr_err *err) {
    struct tr_torch_dict read = {0};
    struct walk walk = {.dict = &read, .path = path, .err = err};
    enum tr_status status = visit(&walk, value, 0, 0);
    if (status == TR_OK)
        *dict = read;
    else
        tr_torch_dict_free(&read);
    return status;
}

void tr_torch_dict_free(struct tr_torch_dict *dict) {
    for (int64_t i = 0; i < dict->count; i++)
        free(dict->items[i].name);
    free(dict->items);
    *dict = (struct tr_torch_dict){0};
}

enum tr_status tr_torch_add(struct tr_checkpoint *checkpoint, const struct tr_torch *torch,
                            const struct tr_torch_dict *dict, struct tr_err *err) {
    for (int64_t i = 0; i < dict->count; i++) {
        struct tr_tensor tensor = {0};
        TR_TRY(tr_checkpoint_keep(checkpoint, dict->items[i].name, &tensor.name, err));
        TR_TRY(tr_torch_tensor(torch, dict->items[i].value, &tensor, err));
        TR_TRY(tr_checkpoint_add_tensors(checkpoint, &tensor, 1, err));
    }
    return TR_OK;
}

static enum tr_status stamp(struct tr_checkpoint *checkpoint, const struct tr_weight_file *file,
                            const struct tr_torch *torch, struct tr_err *err) {
    if (torch->is_legacy)
        return tr_checkpoint_stamp(checkpoint, file->name, &file->info, torch->legacy.bytes,
                                   torch->legacy.size, err);
    TR_TRY(tr_checkpoint_stamp(checkpoint, file->name, &file->info, torch->zip.directory,
                               torch->zip.directory_size, err));
    return tr_checkpoint_stamp(checkpoint, file->name, &file->info, torch->bytes, torch->size, err);
}

enum tr_status tr_torch_add_file(struct tr_torch *torch, struct tr_checkpoint *checkpoint,
                                 const char *name, struct tr_err *err) {
    struct tr_weight_file *file = NULL;
    TR_TRY(tr_checkpoint_add_file(checkpoint, name, &file, err));
    TR_TRY(tr_torch_open(torch, file->fd, 0, file->size, file->path, err));
    enum tr_status status = stamp(checkpoint, file, torch, err);
    if (status != TR_OK)
        tr_torch_close(torch);
    return status;
}
