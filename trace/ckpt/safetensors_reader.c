// SPDX-License-Identifier: Apache-2.0
// Opens a checkpoint kept in safetensors: one file, or the shards that an index names.
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "reader.h"
#include "safetensors.h"

// The size of the JSON header, checked against the file's.
static enum tr_status read_header_size(const struct tr_weight_file *file, uint64_t *size_p,
                                       struct tr_err *err) {
    char start[64] = {0};
    size_t got = file->size < sizeof start ? (size_t)file->size : sizeof start;
    uint64_t size;
    TR_TRY(tr_file_read_at(file->fd, file->path, 0, start, got, err));
    TR_TRY(tr_refuse_placeholder(file->path, start, got, err));
    bool header =
        got > 8 && start[8] && strchr("{ \t\r\n", start[8]); // its size may begin as other files do
    if (got > 8 && !header && (!memcmp(start, "PK\3\4", 4) || !memcmp(start, "\x80\2", 2)))
        return tr_fail(err, TR_EFORMAT, "%s is a file of torch.save: call it pytorch_model.bin",
                       file->path);
    if (got > 8 && !header && !memcmp(start, "\x1f\x8b", 2))
        return tr_fail(err, TR_EFORMAT, "%s is compressed: unpack it", file->path);
    if (file->size < 10) // 8 bytes of size and "{}"
        return tr_fail(err, TR_EFORMAT, "%s has %" PRIu64 " bytes, too few for a safetensors file",
                       file->path, file->size);
    memcpy(&size, start, sizeof size);
    size = le64toh(size);
    if (size > TR_SAFETENSORS_HEADER_LIMIT)
        return tr_fail(err, TR_EFORMAT,
                       "%s claims a header of %" PRIu64 " bytes, more than the %d accepted: not a "
                       "safetensors file?",
                       file->path, size, TR_SAFETENSORS_HEADER_LIMIT);
    if (size > file->size - 8)
        return tr_fail(err, TR_EFORMAT,
                       "%s claims a header of %" PRIu64 " bytes, the file has only %" PRIu64
                       ": it is truncated",
                       file->path, size, file->size);
    *size_p = size;
    return TR_OK;
}

static enum tr_status add_header(struct tr_checkpoint *checkpoint, struct tr_weight_file *file,
                                 const char *json, uint64_t size, struct tr_err *err) {
    struct tr_tensor *tensors;
    int64_t count;
    TR_TRY(tr_checkpoint_stamp(checkpoint, file->name, &file->info, json, (size_t)size, err));
    TR_TRY(tr_safetensors_parse(json, size, file->size, file->path, &tensors, &count, &file->names,
                                err));
    enum tr_status status = tr_checkpoint_add_tensors(checkpoint, tensors, count, err);
    free(tensors);
    return status;
}

static enum tr_status add_safetensors(struct tr_checkpoint *checkpoint, const char *name,
                                      struct tr_err *err) {
    struct tr_weight_file *file = NULL;
    uint64_t size = 0;
    char *json;
    TR_TRY(tr_checkpoint_add_file(checkpoint, name, &file, err));
    TR_TRY(read_header_size(file, &size, err));
    TR_TRY(TR_NEW(&json, size, file->path, err));
    enum tr_status status = tr_file_read_at(file->fd, file->path, 8, json, (size_t)size, err);
    if (status == TR_OK)
        status = add_header(checkpoint, file, json, size, err);
    free(json);
    return status;
}

enum tr_status tr_read_safetensors(struct tr_checkpoint *checkpoint, const char *name,
                                   struct tr_err *err) {
    TR_TRY(add_safetensors(checkpoint, name, err));
    return tr_checkpoint_sort(checkpoint, err);
}

enum tr_status tr_read_safetensors_index(struct tr_checkpoint *checkpoint, const char *name,
                                         struct tr_err *err) {
    return tr_read_shards(checkpoint, name, add_safetensors, err);
}
