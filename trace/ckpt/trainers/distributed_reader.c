// SPDX-License-Identifier: Apache-2.0
// Opens a checkpoint of torch.distributed.checkpoint: .metadata says in which chunks each tensor
// was cut, and each chunk is an archive of torch.save within a file.
#include <inttypes.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "reader.h"
#include "torch/dcp_metadata.h"
#include "torch/torch_file.h"

enum { PATH_LIMIT = 1024, NAME_LIMIT = 1024 };
enum { MAX_OPENERS = 8, FEW = 64 }; // threads; chunks that one thread opens as fast

struct distributed {
    struct tr_checkpoint *checkpoint;
    struct tr_dcp dcp;
    char *below;        // the folder with .metadata, within the checkpoint's: "" or with a slash
    struct part *parts; // [part_count], of all tensors
    int64_t part_count;
    struct tr_piece *pieces; // of one tensor
    struct tr_err *err;
};

// A chunk and the piece of its tensor that it is.
struct part {
    const struct tr_dcp_tensor *tensor;
    const struct tr_dcp_chunk *chunk;
    enum tr_dtype dtype;
    char dtype_text[16];
    struct tr_piece piece;
};

static bool is_weight(struct tr_slice name) {
    char text[NAME_LIMIT];
    if (name.size >= sizeof text || memchr(name.bytes, 0, name.size))
        return false;
    memcpy(text, name.bytes, name.size);
    text[name.size] = 0;
    return !tr_is_training_state(text) && !strstr(text, "_extra_state");
}

// ---- files -------------------------------------------------------------------------------------

static int compare_paths(struct tr_slice a, struct tr_slice b) {
    int order = memcmp(a.bytes, b.bytes, a.size < b.size ? a.size : b.size);
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_parts(const void *a_, const void *b_) {
    const struct tr_dcp_place *a = &((const struct part *)a_)->chunk->place;
    const struct tr_dcp_place *b = &((const struct part *)b_)->chunk->place;
    int order = compare_paths(a->path, b->path);
    return order ? order : (a->offset > b->offset) - (a->offset < b->offset);
}

static enum tr_status add_file(struct distributed *d, struct tr_slice path) {
    char name[PATH_LIMIT];
    struct tr_weight_file *file;
    int size = snprintf(name, sizeof name, "%s%.*s", d->below, (int)path.size, path.bytes);
    if (!path.size || path.size >= PATH_LIMIT || size >= PATH_LIMIT || *path.bytes == '/' ||
        memchr(path.bytes, 0, path.size) || strstr(name, ".."))
        return tr_fail(d->err, TR_EFORMAT, "%s names the file %.*s, which is not below its folder",
                       d->dcp.what, path.size < 256 ? (int)path.size : 256, path.bytes);
    TR_TRY(tr_checkpoint_add_file(d->checkpoint, name, &file, d->err));
    return tr_checkpoint_stamp(d->checkpoint, name, &file->info, "", 0, d->err);
}

// ---- chunks ------------------------------------------------------------------------------------

static enum tr_status refuse(const struct distributed *d, const struct part *part, const char *what,
                             struct tr_err *err) {
    char begin[TR_INDEX_MAX];
    const struct tr_slice name = part->tensor->name;
    return tr_fail(err, TR_EFORMAT, "%s: the chunk at %s of tensor %.*s %s",
                   d->checkpoint->files[part->piece.file].path,
                   tr_index_text(part->tensor->dims, part->chunk->begin, begin), (int)name.size,
                   name.bytes, what);
}

static enum tr_status take_tensor(const struct distributed *d, struct part *part,
                                  const struct tr_torch *torch, struct tr_err *err) {
    struct tr_tensor found = {.name = "of a chunk"};
    if (torch->root->kind != TR_VALUE_TENSOR)
        return refuse(d, part, "is no tensor", err);
    TR_TRY(tr_torch_tensor(torch, torch->root, &found, err));
    if (found.dims != part->tensor->dims ||
        memcmp(found.shape, part->chunk->shape, (size_t)found.dims * sizeof *found.shape))
        return refuse(d, part, "has another shape than .metadata says", err);
    part->dtype = found.dtype;
    memcpy(part->dtype_text, found.dtype_text, sizeof part->dtype_text);
    part->piece.offset = found.piece.offset;
    memcpy(part->piece.begin, part->chunk->begin, sizeof part->piece.begin);
    memcpy(part->piece.shape, part->chunk->shape, sizeof part->piece.shape);
    memcpy(part->piece.strides, found.piece.strides, sizeof part->piece.strides);
    return TR_OK;
}

static enum tr_status open_chunk(const struct distributed *d, struct part *part,
                                 struct tr_err *err) {
    const struct tr_dcp_place *place = &part->chunk->place;
    const struct tr_weight_file *file = &d->checkpoint->files[part->piece.file];
    struct tr_torch torch;
    int fd = -1;
    if (place->offset > file->size || place->length > file->size - place->offset)
        return refuse(d, part, "reaches beyond the file: it is truncated", err);
    TR_TRY(tr_checkpoint_take_file(d->checkpoint, part->piece.file, &fd, err));
    enum tr_status status =
        tr_torch_open(&torch, fd, place->offset, place->length, file->path, err);
    if (status == TR_OK) {
        status = take_tensor(d, part, &torch, err);
        tr_torch_close(&torch);
    }
    tr_checkpoint_give_file(d->checkpoint, part->piece.file);
    return status;
}

// Adds each file once, in the order of the chunks.
static enum tr_status add_files(struct distributed *d) {
    if (d->part_count)
        qsort(d->parts, (size_t)d->part_count, sizeof *d->parts, compare_parts);
    for (int64_t i = 0; i < d->part_count; i++) {
        struct tr_slice path = d->parts[i].chunk->place.path;
        if (!i || compare_paths(d->parts[i - 1].chunk->place.path, path))
            TR_TRY(add_file(d, path));
        d->parts[i].piece.file = d->checkpoint->file_count - 1;
    }
    return TR_OK;
}

// Several threads open chunks, for a large model has thousands, each of which is waited for. Of
// several that are wrong the first in the order of files is told.
static enum tr_status open_chunks(struct distributed *d) {
    int64_t first = d->part_count;
    enum tr_status status = TR_OK;
    int threads = omp_get_max_threads() < MAX_OPENERS ? omp_get_max_threads() : MAX_OPENERS;
    TR_TRY(add_files(d));
#pragma omp parallel for num_threads(threads) schedule(dynamic, 8) if (d->part_count > FEW)
    for (int64_t i = 0; i < d->part_count; i++) {
        struct tr_err own = {0};
        if (open_chunk(d, &d->parts[i], &own) == TR_OK)
            continue;
#pragma omp critical(tr_chunk_failed)
        if (i < first) {
            first = i;
            status = own.code;
            if (d->err)
                *d->err = own;
        }
    }
    return status;
}

// ---- tensors -----------------------------------------------------------------------------------

static int compare_tensors(const void *a_, const void *b_) {
    const struct part *a = a_, *b = b_;
    return (a->tensor > b->tensor) - (a->tensor < b->tensor);
}

static enum tr_status list_parts(struct distributed *d) {
    uint64_t count = 0;
    for (int64_t i = 0; i < d->dcp.tensor_count; i++)
        count += (uint64_t)d->dcp.tensors[i].count;
    TR_TRY(TR_NEW(&d->parts, count, "the chunks of a checkpoint", d->err));
    TR_TRY(TR_NEW(&d->pieces, count, "the pieces of a tensor", d->err));
    for (int64_t i = 0; i < d->dcp.tensor_count; i++)
        for (int64_t c = 0; c < d->dcp.tensors[i].count; c++)
            d->parts[d->part_count++] =
                (struct part){&d->dcp.tensors[i], &d->dcp.tensors[i].chunks[c], 0, "", {0}};
    return TR_OK;
}

// A tensor whose chunks are parts[0, count).
static enum tr_status add_tensor(struct distributed *d, const struct part *parts, int64_t count) {
    char name[NAME_LIMIT];
    struct tr_tensor tensor = {.dtype = parts->dtype, .dims = parts->tensor->dims};
    memcpy(tensor.dtype_text, parts->dtype_text, sizeof tensor.dtype_text);
    memcpy(tensor.shape, parts->tensor->shape, sizeof tensor.shape);
    snprintf(name, sizeof name, "%.*s", (int)parts->tensor->name.size, parts->tensor->name.bytes);
    TR_TRY(tr_checkpoint_keep(d->checkpoint, name, &tensor.name, d->err));
    bool fits = true;
    tensor.bytes = tr_dtype_text_size(parts->dtype_text);
    for (int i = 0; i < tensor.dims; i++)
        fits = fits && tr_mul(tensor.bytes, (uint64_t)tensor.shape[i], &tensor.bytes);
    if (!fits || tensor.bytes > INT64_MAX)
        return tr_fail(d->err, TR_EFORMAT, "%s: the shape of tensor %s overflows", d->dcp.what,
                       name);
    for (int64_t i = 0; i < count; i++) {
        if (strcmp(parts[i].dtype_text, parts->dtype_text))
            return refuse(d, &parts[i], "has another type than the first", d->err);
        d->pieces[i] = parts[i].piece;
    }
    return tr_checkpoint_add_pieces(d->checkpoint, &tensor, d->pieces, count, d->err);
}

static enum tr_status add_tensors(struct distributed *d) {
    if (d->part_count)
        qsort(d->parts, (size_t)d->part_count, sizeof *d->parts, compare_tensors);
    for (int64_t i = 0, end; i < d->part_count; i = end) {
        for (end = i + 1; end < d->part_count && d->parts[end].tensor == d->parts[i].tensor;)
            end++;
        TR_TRY(add_tensor(d, &d->parts[i], end - i));
    }
    if (!d->part_count)
        return tr_fail(d->err, TR_EFORMAT, "%s names no tensors of a model", d->dcp.what);
    return tr_checkpoint_sort(d->checkpoint, d->err);
}

// ---- the checkpoint ----------------------------------------------------------------------------

static enum tr_status read_parsed(struct distributed *d) {
    TR_TRY(list_parts(d));
    TR_TRY(open_chunks(d));
    return add_tensors(d);
}

static enum tr_status read_metadata(struct distributed *d, const char *name, const char *path) {
    struct tr_checkpoint *checkpoint = d->checkpoint;
    struct stat info;
    char *bytes = NULL;
    size_t size;
    TR_TRY(tr_checkpoint_load(checkpoint, name, TR_DCP_LIMIT, &bytes, &size, &info, d->err));
    enum tr_status status = tr_checkpoint_stamp(checkpoint, name, &info, bytes, size, d->err);
    if (status == TR_OK)
        status = tr_dcp_parse(&d->dcp, bytes, size, is_weight, path, d->err);
    if (status == TR_OK)
        status = read_parsed(d);
    tr_dcp_free(&d->dcp);
    free(bytes);
    return status;
}

enum tr_status tr_read_distributed(struct tr_checkpoint *checkpoint, const char *name,
                                   struct tr_err *err) {
    struct distributed d = {.checkpoint = checkpoint, .err = err};
    char *path = NULL;
    TR_TRY(tr_strdup(&d.below, name, err));
    char *slash = strrchr(d.below, '/');
    *(slash ? slash + 1 : d.below) = 0;
    enum tr_status status = tr_path_join(&path, checkpoint->folder, name, err);
    if (status == TR_OK)
        status = read_metadata(&d, name, path);
    free(d.parts);
    free(d.pieces);
    free(d.below);
    free(path);
    return status;
}
