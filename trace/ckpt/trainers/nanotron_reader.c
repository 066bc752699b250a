// SPDX-License-Identifier: Apache-2.0
// Opens what nanotron writes: a safetensors file for each tensor and rank, in folders named as the
// modules are, each of which says which slices of the whole it holds. (Source:
// src/nanotron/serialize/weights.py.)
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "folder_scan.h"
#include "nanotron_slices.h"
#include "pieces.h"
#include "reader.h"
#include "safetensors.h"

enum { DEPTH = 16, HEADER_LIMIT = 1 << 20, NAME_LIMIT = 1024 };

// A tensor's part in the file `file`.
struct part {
    char *name; // of the tensor
    struct tr_tensor tensor;
    int file;
    struct tr_slices slices;
};

struct nanotron {
    struct tr_checkpoint *checkpoint;
    struct part *parts; // [count]
    int64_t count;
    uint64_t capacity;
    struct tr_err *err;
};

// ---- one file ----------------------------------------------------------------------------------

// A file without slices holds the whole.
static void take_whole(struct part *part) {
    part->slices = (struct tr_slices){.dims = part->tensor.dims, .count = 1};
    memcpy(part->slices.shape, part->tensor.shape, sizeof part->slices.shape);
    memcpy(part->slices.pairs->count, part->tensor.shape, sizeof part->slices.pairs->count);
}

static enum tr_status take_slices(struct nanotron *n, struct part *part, const json_t *header,
                                  const char *path) {
    const json_t *metadata = json_object_get(header, "__metadata__");
    const char *shape = json_string_value(json_object_get(metadata, "unsharded_shape"));
    const char *pairs = json_string_value(json_object_get(metadata, "local_global_slices_pairs"));
    if (!shape || !pairs) {
        take_whole(part);
        return TR_OK;
    }
    if (!tr_slices_parse(&part->slices, shape, pairs, part->tensor.shape) ||
        part->slices.dims != part->tensor.dims)
        return tr_fail(
            n->err, TR_EFORMAT,
            "%s: its __metadata__ does not say which slices of a tensor it holds: \"%.200s\" "
            "of \"%.100s\"",
            path, pairs, shape);
    return TR_OK;
}

static enum tr_status parse_header(struct nanotron *n, struct part *part, const char *json,
                                   size_t size, const struct tr_weight_file *file) {
    struct tr_tensor *tensors;
    int64_t count;
    char *names;
    json_t *header = NULL;
    TR_TRY(
        tr_safetensors_parse(json, size, file->size, file->path, &tensors, &count, &names, n->err));
    enum tr_status status = TR_OK;
    if (count != 1)
        status =
            tr_fail(n->err, TR_EUNSUPPORTED, "%s holds %lld tensors, nanotron's files hold one",
                    file->path, (long long)count);
    if (status == TR_OK) {
        part->tensor = *tensors;
        status = tr_json_parse(&header, json, size, file->path, n->err);
    }
    if (status == TR_OK)
        status = take_slices(n, part, header, file->path);
    json_decref(header);
    free(tensors);
    free(names);
    return status;
}

static enum tr_status read_file(struct nanotron *n, struct part *part,
                                const struct tr_weight_file *file) {
    uint64_t size;
    char *json;
    if (file->size < 8)
        return tr_refuse_placeholder(file->path, "", 0, n->err);
    TR_TRY(tr_file_read_at(file->fd, file->path, 0, &size, sizeof size, n->err));
    size = le64toh(size);
    if (size > HEADER_LIMIT || size > file->size - 8)
        return tr_fail(n->err, TR_EFORMAT, "%s claims a header of %llu bytes", file->path,
                       (unsigned long long)size);
    TR_TRY(TR_NEW(&json, size, file->path, n->err));
    enum tr_status status = tr_file_read_at(file->fd, file->path, 8, json, (size_t)size, n->err);
    if (status == TR_OK)
        status =
            tr_checkpoint_stamp(n->checkpoint, file->name, &file->info, json, (size_t)size, n->err);
    if (status == TR_OK)
        status = parse_header(n, part, json, (size_t)size, file);
    free(json);
    return status;
}

// The tensor's name: folders below the model's with dots between them, and the parameter's.
static void name_of(const char *path, char out[NAME_LIMIT]) {
    const char *leaf = strrchr(path, '/') + 1;
    const char *folders = path + strlen("model/model/");
    int size = snprintf(out, NAME_LIMIT, "%.*s", (int)(leaf - folders), folders);
    for (char *at = out; *at; at++)
        *at = *at == '/' ? '.' : *at;
    const char *param = leaf + strlen("model_"), *end = strstr(param, "_pp-rank-");
    end = end ? end : strstr(param, ".safetensors");
    snprintf(out + size, NAME_LIMIT - (size_t)size, "%.*s", (int)(end - param), param);
}

static enum tr_status add_file(struct nanotron *n, const char *path) {
    struct tr_weight_file *file = NULL;
    char name[NAME_LIMIT];
    TR_TRY(tr_grow((void **)&n->parts, &n->capacity, (uint64_t)n->count + 1, sizeof *n->parts,
                   "the files of a checkpoint", n->err));
    struct part *part = &n->parts[n->count];
    *part = (struct part){0};
    TR_TRY(tr_checkpoint_add_file(n->checkpoint, path, &file, n->err));
    part->file = n->checkpoint->file_count - 1;
    TR_TRY(read_file(n, part, file));
    name_of(path, name);
    TR_TRY(tr_strdup(&part->name, name, n->err));
    n->count++;
    return TR_OK;
}

// ---- all files ---------------------------------------------------------------------------------

static bool is_tensor_file(const char *name) {
    size_t size = strlen(name);
    return !strncmp(name, "model_", 6) && size > 18 && !strcmp(name + size - 12, ".safetensors");
}

static enum tr_status walk(struct nanotron *n, const char *below, int depth);

static enum tr_status visit(struct nanotron *n, const char *below, const char *name, int depth) {
    char *path, *whole = NULL;
    TR_TRY(tr_path_join(&path, below, name, n->err));
    enum tr_status status = tr_path_join(&whole, n->checkpoint->folder, path, n->err);
    if (status == TR_OK && tr_is_folder(whole))
        status = depth < DEPTH ? walk(n, path, depth + 1) : TR_OK;
    else if (status == TR_OK && is_tensor_file(name))
        status = add_file(n, path);
    free(whole);
    free(path);
    return status;
}

static enum tr_status walk(struct nanotron *n, const char *below, int depth) {
    struct tr_names names;
    char *folder;
    TR_TRY(tr_path_join(&folder, n->checkpoint->folder, below, n->err));
    enum tr_status status = tr_names_list(&names, folder, "*", n->err);
    free(folder);
    TR_TRY(status);
    for (int64_t i = 0; i < names.count && status == TR_OK; i++)
        status = visit(n, below, names.names[i], depth);
    tr_names_free(&names);
    return status;
}

// ---- tensors -----------------------------------------------------------------------------------

static int compare_parts(const void *a, const void *b) {
    return strcmp(((const struct part *)a)->name, ((const struct part *)b)->name);
}

static void cut_piece(const struct part *part, const struct tr_slice_pair *pair,
                      struct tr_piece *piece) {
    int64_t strides[TR_MAX_DIMS];
    uint64_t element = tr_dtype_size(part->tensor.dtype);
    *piece = (struct tr_piece){.file = part->file, .offset = part->tensor.piece.offset};
    tr_row_major_strides(part->tensor.dims, part->tensor.shape, strides);
    for (int i = 0; i < part->tensor.dims; i++) {
        piece->begin[i] = pair->to[i];
        piece->shape[i] = pair->count[i];
        piece->strides[i] = strides[i];
        piece->offset += (uint64_t)(pair->from[i] * strides[i]) * element;
    }
}

static enum tr_status add_tensor(struct nanotron *n, const struct part *parts, int64_t count) {
    struct tr_tensor tensor = parts->tensor;
    struct tr_piece *pieces;
    int64_t piece_count = 0, most = 0;
    bool fits = true;
    tensor.bytes = tr_dtype_size(tensor.dtype);
    for (int i = 0; i < tensor.dims; i++) {
        tensor.shape[i] = parts->slices.shape[i];
        fits = fits && tr_mul(tensor.bytes, (uint64_t)tensor.shape[i], &tensor.bytes);
    }
    for (int64_t i = 0; i < count; i++) {
        fits = fits && parts[i].slices.dims == tensor.dims && parts[i].tensor.dtype == tensor.dtype;
        most += parts[i].slices.count;
    }
    if (!fits || !tensor.bytes || tensor.bytes > INT64_MAX)
        return tr_fail(n->err, TR_EUNSUPPORTED, "%s: the files of tensor %s do not make one",
                       n->checkpoint->folder, parts->name);
    TR_TRY(tr_checkpoint_keep(n->checkpoint, parts->name, &tensor.name, n->err));
    TR_TRY(TR_NEW(&pieces, (uint64_t)most, "the pieces of a tensor", n->err));
    for (int64_t i = 0; i < count; i++)
        for (int p = 0; p < parts[i].slices.count; p++)
            cut_piece(&parts[i], &parts[i].slices.pairs[p], &pieces[piece_count++]);
    enum tr_status status =
        tr_checkpoint_add_pieces(n->checkpoint, &tensor, pieces, piece_count, n->err);
    free(pieces);
    return status;
}

static enum tr_status read_all(struct nanotron *n) {
    TR_TRY(walk(n, "model/model", 0));
    if (!n->count)
        return tr_fail(n->err, TR_EFORMAT, "%s/model/model has no weights", n->checkpoint->folder);
    qsort(n->parts, (size_t)n->count, sizeof *n->parts, compare_parts);
    for (int64_t i = 0, end; i < n->count; i = end) {
        for (end = i + 1; end < n->count && !strcmp(n->parts[i].name, n->parts[end].name);)
            end++;
        TR_TRY(add_tensor(n, &n->parts[i], end - i));
    }
    return tr_checkpoint_sort(n->checkpoint, n->err);
}

enum tr_status tr_read_nanotron(struct tr_checkpoint *checkpoint, const char *name,
                                struct tr_err *err) {
    struct nanotron n = {.checkpoint = checkpoint, .err = err};
    (void)name;
    enum tr_status status = read_all(&n);
    for (int64_t i = 0; i < n.count; i++)
        free(n.parts[i].name);
    free(n.parts);
    return status;
}
