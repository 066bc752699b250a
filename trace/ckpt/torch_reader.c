// SPDX-License-Identifier: Apache-2.0
// Opens a checkpoint that torch.save wrote: a ZIP archive with a pickle of the state dict,
// STEM/data.pkl, and the bytes of each storage, STEM/data/KEY; before 1.6 a stream of pickles.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "reader.h"
#include "strided.h"
#include "torch_legacy.h"
#include "torch_pickle.h"
#include "torch_zip.h"

enum { ENTRY_NAME_MAX = 512 };

struct state_dict {
    const struct tr_weight_file *file;
    struct tr_zip zip;
    const struct tr_zip_entry *pickle; // STEM/data.pkl
    int stem_size;
    const struct tr_legacy *legacy; // NULL: it is a ZIP archive
    const struct tr_value *tensors; // the dict of them
};

static enum tr_status check_start(const struct tr_weight_file *file, bool *legacy_p,
                                  struct tr_err *err) {
    char start[64] = {0};
    size_t got = file->size < sizeof start ? (size_t)file->size : sizeof start;
    TR_TRY(tr_file_read_at(file->fd, file->path, 0, start, got, err));
    TR_TRY(tr_refuse_placeholder(file->path, start, got, err));
    *legacy_p = tr_is_legacy(start, got);
    if (!*legacy_p && memcmp(start, "PK\3\4", 4))
        return tr_fail(err, TR_EFORMAT, "%s does not begin as a file of torch.save", file->path);
    return TR_OK;
}

// The one entry STEM/data.pkl; the name of the stem is arbitrary.
static enum tr_status find_pickle(struct state_dict *dict, struct tr_err *err) {
    for (int64_t i = 0; i < dict->zip.count; i++) {
        const char *slash = strchr(dict->zip.entries[i].name, '/');
        if (!slash || strcmp(slash, "/data.pkl"))
            continue;
        if (dict->pickle)
            return tr_fail(err, TR_EFORMAT, "%s has both %s and %s", dict->file->path,
                           dict->pickle->name, dict->zip.entries[i].name);
        dict->pickle = &dict->zip.entries[i];
        dict->stem_size = (int)(slash - dict->pickle->name);
    }
    if (!dict->pickle)
        return tr_fail(err, TR_EFORMAT, "%s is a ZIP archive without a data.pkl: not of torch.save",
                       dict->file->path);
    return TR_OK;
}

// The entry STEM/NAME with the slice put behind it.
static const struct tr_zip_entry *find_entry(const struct state_dict *dict, const char *name,
                                             struct tr_slice key) {
    char full[ENTRY_NAME_MAX];
    if (key.size >= sizeof full)
        return NULL;
    int size = snprintf(full, sizeof full, "%.*s/%s%.*s", dict->stem_size, dict->pickle->name, name,
                        (int)key.size, key.bytes);
    return size < (int)sizeof full ? tr_zip_find(&dict->zip, full) : NULL;
}

// Files written before torch 2.1 do not name their byte order; all known ones are little-endian.
static enum tr_status check_byte_order(const struct state_dict *dict, struct tr_err *err) {
    char order[8] = {0};
    const struct tr_zip_entry *entry =
        find_entry(dict, "byteorder", (struct tr_slice){.bytes = "", .size = 0});
    if (!entry)
        return TR_OK;
    size_t size = entry->size < sizeof order ? (size_t)entry->size : sizeof order - 1;
    TR_TRY(tr_file_read_at(dict->file->fd, dict->file->path, entry->offset, order, size, err));
    if (strcmp(order, "little"))
        return tr_fail(err, TR_EUNSUPPORTED, "%s has the byte order \"%s\"; known: \"little\"",
                       dict->file->path, order);
    return TR_OK;
}

// The value of a key whose value is a dict, NULL when there is none.
static const struct tr_value *find_dict(const struct tr_value *dict, const char *key) {
    for (uint64_t i = 0; i < dict->sequence.count; i += 2) {
        const struct tr_value *const *pair =
            (const struct tr_value *const *)dict->sequence.items + i;
        if (pair[0]->kind == TR_VALUE_TEXT && tr_slice_is(pair[0]->text, key) &&
            pair[1]->kind == TR_VALUE_DICT)
            return pair[1];
    }
    return NULL;
}

// A training checkpoint keeps the state dict of its model beside other things. The levels are
// bounded: a dict of a pickle may contain itself.
static const struct tr_value *unwrap(const struct tr_value *dict) {
    static const char *const keys[] = {"state_dict", "model", "module"};
    enum { KEYS = sizeof keys / sizeof *keys, LEVELS = 4 };
    for (int level = 0; level < LEVELS; level++) {
        const struct tr_value *inner = NULL;
        for (int i = 0; i < KEYS && !inner; i++)
            inner = find_dict(dict, keys[i]);
        if (!inner)
            break;
        dict = inner;
    }
    return dict;
}

static bool is_tensor(const struct tr_value *const *pair) {
    return pair[0]->kind == TR_VALUE_TEXT && pair[1]->kind == TR_VALUE_TENSOR;
}

// Where the storage's bytes begin in the file.
static enum tr_status find_storage(const struct state_dict *dict, const struct tr_value *storage,
                                   const char *name, uint64_t *offset_p, struct tr_err *err) {
    struct tr_slice key = storage->storage.key;
    const struct tr_zip_entry *entry = find_entry(dict, "data/", key);
    uint64_t bytes;
    if (!entry)
        return tr_fail(err, TR_EFORMAT, "%s: the storage of tensor %s, %.*s/data/%.*s, is missing",
                       dict->file->path, name, dict->stem_size, dict->pickle->name,
                       key.size < ENTRY_NAME_MAX ? (int)key.size : ENTRY_NAME_MAX, key.bytes);
    if (!tr_mul((uint64_t)storage->storage.count, storage->storage.type->size, &bytes) ||
        bytes != entry->size)
        return tr_fail(err, TR_EFORMAT,
                       "%s: the storage of tensor %s, %s, has %" PRIu64 " bytes, not %" PRId64
                       " elements of %s",
                       dict->file->path, name, entry->name, entry->size, storage->storage.count,
                       storage->storage.type->dtype_text);
    *offset_p = entry->offset;
    return TR_OK;
}

// The same of a stream, whose storages were measured when it was opened.
static enum tr_status find_in_stream(const struct state_dict *dict, const struct tr_value *storage,
                                     const char *name, uint64_t *offset_p, struct tr_err *err) {
    const struct tr_legacy_storage *found = tr_legacy_find(dict->legacy, storage->storage.key);
    if (!found || !found->offset)
        return tr_fail(err, TR_EFORMAT, "%s: the storage of tensor %s is missing", dict->file->path,
                       name);
    *offset_p = found->offset;
    return TR_OK;
}

// Where the tensor lies in the file.
static enum tr_status place(const struct state_dict *dict, const struct tr_value *value,
                            struct tr_tensor *tensor, struct tr_err *err) {
    const struct tr_value *storage = value->tensor.storage;
    TR_TRY((dict->legacy ? find_in_stream : find_storage)(dict, storage, tensor->name,
                                                          &tensor->piece.offset, err));
    if (tensor->bytes)
        tensor->piece.offset += (uint64_t)value->tensor.offset * storage->storage.type->size;
    return TR_OK;
}

static enum tr_status describe(const struct state_dict *dict, const struct tr_value *value,
                               struct tr_tensor *tensor, struct tr_err *err) {
    const struct tr_global *type = value->tensor.storage->storage.type;
    tensor->dtype = type->dtype;
    strcpy(tensor->dtype_text, type->dtype_text);
    tensor->dims = (int)value->tensor.shape->sequence.count;
    tensor->bytes = type->size;
    for (int i = 0; i < tensor->dims; i++) {
        tensor->shape[i] = value->tensor.shape->sequence.items[i]->integer;
        tensor->piece.strides[i] = value->tensor.strides->sequence.items[i]->integer;
        tensor->bytes *= (uint64_t)tensor->shape[i];
    }
    tensor->strided = !tr_is_row_major(tensor->dims, tensor->shape, tensor->piece.strides);
    return place(dict, value, tensor, err);
}

// Fills tensors[0, count) from the dict, their names going to `names`.
static enum tr_status describe_all(const struct state_dict *dict, struct tr_tensor *tensors,
                                   char *names, struct tr_err *err) {
    for (uint64_t i = 0; i < dict->tensors->sequence.count; i += 2) {
        const struct tr_value *const *pair =
            (const struct tr_value *const *)dict->tensors->sequence.items + i;
        if (!is_tensor(pair))
            continue;
        struct tr_slice name = pair[0]->text;
        if (memchr(name.bytes, 0, name.size))
            return tr_fail(err, TR_EFORMAT, "%s: the name of a tensor has a 0 in it",
                           dict->file->path);
        tensors->name = memcpy(names, name.bytes, name.size);
        names += name.size + 1;
        TR_TRY(describe(dict, pair[1], tensors++, err));
    }
    return TR_OK;
}

static enum tr_status add_tensors(struct tr_checkpoint *checkpoint, const struct state_dict *dict,
                                  struct tr_err *err) {
    struct tr_weight_file *file = &checkpoint->files[checkpoint->file_count - 1];
    struct tr_tensor *tensors;
    uint64_t count = 0, names_size = 0;
    for (uint64_t i = 0; i < dict->tensors->sequence.count; i += 2) {
        const struct tr_value *const *pair =
            (const struct tr_value *const *)dict->tensors->sequence.items + i;
        count += is_tensor(pair);
        names_size += is_tensor(pair) ? pair[0]->text.size + 1 : 0;
    }
    if (!count)
        return tr_fail(err, TR_EFORMAT, "%s holds no tensors by name", file->path);
    TR_TRY(TR_NEW(&file->names, names_size, "the tensors' names", err));
    TR_TRY(TR_NEW(&tensors, count, "the table of tensors", err));
    enum tr_status status = describe_all(dict, tensors, file->names, err);
    if (status == TR_OK)
        status = tr_checkpoint_add_tensors(checkpoint, tensors, (int64_t)count, err);
    free(tensors);
    return status;
}

static enum tr_status add_value(struct tr_checkpoint *checkpoint, struct state_dict *dict,
                                const struct tr_value *value, struct tr_err *err) {
    if (value->kind != TR_VALUE_DICT)
        return tr_fail(err, TR_EUNSUPPORTED, "%s holds %s, not a dict of tensors", dict->file->path,
                       tr_value_name(value));
    dict->tensors = unwrap(value);
    return add_tensors(checkpoint, dict, err);
}

static enum tr_status read_pickle(struct tr_checkpoint *checkpoint, struct state_dict *dict,
                                  char *bytes, struct tr_err *err) {
    const struct tr_weight_file *file = dict->file;
    size_t size = (size_t)dict->pickle->size;
    struct tr_pickle pickle;
    TR_TRY(tr_file_read_at(file->fd, file->path, dict->pickle->offset, bytes, size, err));
    TR_TRY(tr_checkpoint_stamp(checkpoint, file->name, &file->info, bytes, size, err));
    TR_TRY(tr_pickle_read(&pickle, bytes, size, file->path, err));
    enum tr_status status = add_value(checkpoint, dict, pickle.root, err);
    tr_pickle_free(&pickle);
    return status;
}

static enum tr_status read_dict(struct tr_checkpoint *checkpoint, struct state_dict *dict,
                                struct tr_err *err) {
    const struct tr_weight_file *file = dict->file;
    char *bytes;
    TR_TRY(tr_checkpoint_stamp(checkpoint, file->name, &file->info, dict->zip.directory,
                               dict->zip.directory_size, err));
    TR_TRY(find_pickle(dict, err));
    TR_TRY(check_byte_order(dict, err));
    if (dict->pickle->size > TR_PICKLE_LIMIT)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: its pickle has %" PRIu64 " bytes, at most %d are read", file->path,
                       dict->pickle->size, TR_PICKLE_LIMIT);
    TR_TRY(TR_NEW(&bytes, dict->pickle->size, "a pickle", err));
    enum tr_status status = read_pickle(checkpoint, dict, bytes, err);
    free(bytes);
    return status;
}

static enum tr_status add_archive(struct tr_checkpoint *checkpoint, struct state_dict *dict,
                                  struct tr_err *err) {
    const struct tr_weight_file *file = dict->file;
    TR_TRY(tr_zip_open(&dict->zip, file->fd, 0, file->size, file->path, err));
    enum tr_status status = read_dict(checkpoint, dict, err);
    tr_zip_close(&dict->zip);
    return status;
}

static enum tr_status add_stream(struct tr_checkpoint *checkpoint, struct state_dict *dict,
                                 struct tr_err *err) {
    const struct tr_weight_file *file = dict->file;
    struct tr_legacy legacy;
    TR_TRY(tr_legacy_open(&legacy, file->fd, file->size, file->path, err));
    dict->legacy = &legacy;
    enum tr_status status =
        tr_checkpoint_stamp(checkpoint, file->name, &file->info, legacy.bytes, legacy.size, err);
    if (status == TR_OK)
        status = add_value(checkpoint, dict, legacy.root, err);
    tr_legacy_close(&legacy);
    return status;
}

static enum tr_status add_torch(struct tr_checkpoint *checkpoint, const char *name,
                                struct tr_err *err) {
    struct tr_weight_file *file = NULL;
    struct state_dict dict = {0};
    bool legacy = false;
    TR_TRY(tr_checkpoint_add_file(checkpoint, name, &file, err));
    TR_TRY(check_start(file, &legacy, err));
    dict.file = file;
    return (legacy ? add_stream : add_archive)(checkpoint, &dict, err);
}

enum tr_status tr_read_torch(struct tr_checkpoint *checkpoint, const char *name,
                             struct tr_err *err) {
    TR_TRY(add_torch(checkpoint, name, err));
    return tr_checkpoint_sort(checkpoint, err);
}

enum tr_status tr_read_torch_index(struct tr_checkpoint *checkpoint, const char *name,
                                   struct tr_err *err) {
    return tr_read_shards(checkpoint, name, add_torch, err);
}
