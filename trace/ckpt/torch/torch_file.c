// SPDX-License-Identifier: Apache-2.0
#include "torch_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "reader.h"
#include "strided.h"

enum { ENTRY_NAME_MAX = 512 };

static enum tr_status check_start(struct tr_torch *torch, struct tr_err *err) {
    char start[64] = {0};
    size_t got = torch->file.size < sizeof start ? (size_t)torch->file.size : sizeof start;
    TR_TRY(tr_ends_read(&torch->file, 0, start, got, err));
    TR_TRY(tr_refuse_placeholder(torch->path, start, got, err));
    if (got > 10 && !memcmp(start + 5, "\0\0\0{\"", 5))
        return tr_fail(err, TR_EFORMAT, "%s is a safetensors file: call it model.safetensors",
                       torch->path);
    torch->is_legacy = tr_is_legacy(start, got) && !torch->file.start;
    if (!torch->is_legacy && memcmp(start, "PK\3\4", 4))
        return tr_fail(err, TR_EFORMAT, "%s does not begin as a file of torch.save", torch->path);
    return TR_OK;
}

// The one entry STEM/data.pkl; the name of the stem is arbitrary.
static enum tr_status find_pickle(struct tr_torch *torch, struct tr_err *err) {
    for (int64_t i = 0; i < torch->zip.count; i++) {
        const char *slash = strchr(torch->zip.entries[i].name, '/');
        if (!slash || strcmp(slash, "/data.pkl"))
            continue;
        if (torch->entry)
            return tr_fail(err, TR_EFORMAT, "%s has both %s and %s", torch->path,
                           torch->entry->name, torch->zip.entries[i].name);
        torch->entry = &torch->zip.entries[i];
        torch->stem_size = (int)(slash - torch->entry->name);
    }
    if (!torch->entry)
        return tr_fail(err, TR_EFORMAT, "%s is a ZIP archive without a data.pkl: not of torch.save",
                       torch->path);
    return TR_OK;
}

// The entry STEM/NAME with the slice put behind it.
static const struct tr_zip_entry *find_entry(const struct tr_torch *torch, const char *name,
                                             struct tr_slice key) {
    char full[ENTRY_NAME_MAX];
    if (key.size >= sizeof full)
        return NULL;
    int size = snprintf(full, sizeof full, "%.*s/%s%.*s", torch->stem_size, torch->entry->name,
                        name, (int)key.size, key.bytes);
    return size < (int)sizeof full ? tr_zip_find(&torch->zip, full) : NULL;
}

// The first bytes of an entry, whose place counts from the start of the file.
static enum tr_status read_entry(const struct tr_torch *torch, const struct tr_zip_entry *entry,
                                 void *bytes, size_t size, struct tr_err *err) {
    return tr_ends_read(&torch->file, entry->offset - torch->file.start, bytes, size, err);
}

// Files written before torch 2.1 do not name their byte order; all known ones are little-endian.
static enum tr_status check_byte_order(const struct tr_torch *torch, struct tr_err *err) {
    char order[8] = {0};
    const struct tr_zip_entry *entry =
        find_entry(torch, "byteorder", (struct tr_slice){.bytes = "", .size = 0});
    if (!entry)
        return TR_OK;
    size_t size = entry->size < sizeof order ? (size_t)entry->size : sizeof order - 1;
    TR_TRY(read_entry(torch, entry, order, size, err));
    if (strcmp(order, "little"))
        return tr_fail(err, TR_EUNSUPPORTED, "%s has the byte order \"%s\"; known: \"little\"",
                       torch->path, order);
    return TR_OK;
}

// Where the storage's bytes begin in the file.
static enum tr_status find_storage(const struct tr_torch *torch, const struct tr_value *storage,
                                   const char *name, uint64_t *offset_p, struct tr_err *err) {
    struct tr_slice key = storage->storage.key;
    const struct tr_zip_entry *entry = find_entry(torch, "data/", key);
    uint64_t bytes;
    if (!entry)
        return tr_fail(err, TR_EFORMAT, "%s: the storage of tensor %s, %.*s/data/%.*s, is missing",
                       torch->path, name, torch->stem_size, torch->entry->name,
                       key.size < ENTRY_NAME_MAX ? (int)key.size : ENTRY_NAME_MAX, key.bytes);
    if (!tr_mul((uint64_t)storage->storage.count, storage->storage.type->size, &bytes) ||
        bytes != entry->size)
        return tr_fail(err, TR_EFORMAT,
                       "%s: the storage of tensor %s, %s, has %" PRIu64 " bytes, not %" PRId64
                       " elements of %s",
                       torch->path, name, entry->name, entry->size, storage->storage.count,
                       storage->storage.type->dtype_text);
    *offset_p = entry->offset;
    return TR_OK;
}

// The same of a stream, whose storages were measured when it was opened.
static enum tr_status find_in_stream(const struct tr_torch *torch, const struct tr_value *storage,
                                     const char *name, uint64_t *offset_p, struct tr_err *err) {
    const struct tr_legacy_storage *found = tr_legacy_find(&torch->legacy, storage->storage.key);
    if (!found || !found->offset)
        return tr_fail(err, TR_EFORMAT, "%s: the storage of tensor %s is missing", torch->path,
                       name);
    *offset_p = found->offset;
    return TR_OK;
}

// Where the tensor lies in the file.
static enum tr_status place(const struct tr_torch *torch, const struct tr_value *value,
                            struct tr_tensor *tensor, struct tr_err *err) {
    const struct tr_value *storage = value->tensor.storage;
    TR_TRY((torch->is_legacy ? find_in_stream : find_storage)(torch, storage, tensor->name,
                                                              &tensor->piece.offset, err));
    if (tensor->bytes)
        tensor->piece.offset += (uint64_t)value->tensor.offset * storage->storage.type->size;
    return TR_OK;
}

enum tr_status tr_torch_tensor(const struct tr_torch *torch, const struct tr_value *value,
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
    return place(torch, value, tensor, err);
}

static enum tr_status read_pickle(struct tr_torch *torch, struct tr_err *err) {
    TR_TRY(find_pickle(torch, err));
    TR_TRY(check_byte_order(torch, err));
    if (torch->entry->size > TR_PICKLE_LIMIT)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: its pickle has %" PRIu64 " bytes, at most %d are read", torch->path,
                       torch->entry->size, TR_PICKLE_LIMIT);
    torch->size = (size_t)torch->entry->size;
    TR_TRY(TR_NEW(&torch->bytes, torch->size, "a pickle", err));
    TR_TRY(read_entry(torch, torch->entry, torch->bytes, torch->size, err));
    TR_TRY(tr_pickle_read(&torch->pickle, torch->bytes, torch->size, torch->path, err));
    torch->root = torch->pickle.root;
    return TR_OK;
}

static enum tr_status open_torch(struct tr_torch *torch, struct tr_err *err) {
    TR_TRY(check_start(torch, err));
    if (!torch->is_legacy) {
        TR_TRY(tr_zip_open(&torch->zip, &torch->file, err));
        return read_pickle(torch, err);
    }
    TR_TRY(tr_legacy_open(&torch->legacy, torch->file.fd, torch->file.size, torch->path, err));
    torch->root = torch->legacy.root;
    return TR_OK;
}

enum tr_status tr_torch_open(struct tr_torch *torch, int fd, uint64_t offset, uint64_t size,
                             const char *path, struct tr_err *err) {
    *torch = (struct tr_torch){.path = path};
    enum tr_status status = tr_ends_open(&torch->file, fd, offset, size, path, err);
    if (status == TR_OK)
        status = open_torch(torch, err);
    if (status != TR_OK)
        tr_torch_close(torch);
    return status;
}

void tr_torch_close(struct tr_torch *torch) {
    tr_pickle_free(&torch->pickle);
    tr_zip_close(&torch->zip);
    tr_legacy_close(&torch->legacy);
    free(torch->bytes);
    *torch = (struct tr_torch){.file = {.fd = -1}};
}

enum tr_status tr_torch_load(struct tr_torch *torch, const char *path, struct tr_err *err) {
    struct stat info;
    int fd = -1;
    TR_TRY(tr_file_open(path, &fd, &info, err));
    enum tr_status status = tr_torch_open(torch, fd, 0, (uint64_t)info.st_size, path, err);
    close(fd);
    return status;
}

enum tr_status tr_torch_refuse(const char *path, const struct tr_value *value, struct tr_err *err) {
    const struct tr_value *class = value->kind == TR_VALUE_CLASS ? value : tr_value_class(value);
    if (!class)
        return tr_fail(err, TR_EUNSUPPORTED, "%s holds %s, not a dict of tensors", path,
                       tr_value_name(value));
    struct tr_slice module = class->class.module, name = class->class.name;
    return tr_fail(err, TR_EUNSUPPORTED,
                   "%s holds %s %.*s.%.*s, not a dict of tensors (save the model's state_dict()); "
                   "nothing of it was run",
                   path, value == class ? "the class" : "an object of",
                   module.size < 128 ? (int)module.size : 128, module.bytes,
                   name.size < 128 ? (int)name.size : 128, name.bytes);
}
