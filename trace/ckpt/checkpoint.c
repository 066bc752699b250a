// SPDX-License-Identifier: Apache-2.0
#include "ckpt/checkpoint.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "format_find.h"
#include "pieces.h"
#include "reader.h"

enum { CONFIG_LIMIT = 16 << 20 }; // bytes

// How files begin that are found in place of weights.
static const struct {
    const char *begin, *what;
} others[] = {
    {"<!DOCTYPE", "a web page: its download failed"},
    {"<!doctype", "a web page: its download failed"},
    {"<html", "a web page: its download failed"},
    {"<?xml", "a server's answer: its download failed"},
    {"{\"error", "a server's answer: its download failed"},
    {"Entry not found", "a server's answer: its download failed"},
    {"Invalid credentials", "a server's answer: its download failed"},
    {"Repository not found", "a server's answer: its download failed"},
    {"# xet", "a Xet pointer, not the file itself"},
    {"GGUF", "a GGUF file, which is not read"},
    {"\x28\xb5\x2f\xfd", "compressed: unpack it"},
    {"\x89HDF\r\n", "an HDF5 file, which is not read"},
};

enum tr_status tr_refuse_placeholder(const char *path, const void *bytes, size_t size,
                                     struct tr_err *err) {
    if (!size)
        return tr_fail(err, TR_EFORMAT, "%s is empty: its download did not finish", path);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t begin = strlen(others[i].begin);
        if (size >= begin && !memcmp(bytes, others[i].begin, begin))
            return tr_fail(err, TR_EFORMAT, "%s is %s", path, others[i].what);
    }
    return tr_refuse_lfs_pointer(path, bytes, size, err);
}

enum tr_status tr_checkpoint_add_tensors(struct tr_checkpoint *checkpoint,
                                         const struct tr_tensor *tensors, int64_t count,
                                         struct tr_err *err) {
    TR_TRY(tr_grow((void **)&checkpoint->tensors, &checkpoint->tensor_capacity,
                   (uint64_t)(checkpoint->tensor_count + count), sizeof *tensors,
                   "the table of tensors", err));
    for (int64_t i = 0; i < count; i++) {
        struct tr_tensor *tensor = &checkpoint->tensors[checkpoint->tensor_count++];
        struct tr_piece *piece = &tensor->piece;
        *tensor = tensors[i];
        piece->file = checkpoint->file_count - 1;
        memset(piece->begin, 0, sizeof piece->begin);
        memcpy(piece->shape, tensor->shape, sizeof piece->shape);
        if (!tensor->strided)
            tr_row_major_strides(tensor->dims, piece->shape, piece->strides);
    }
    return TR_OK;
}

static int compare_tensors(const void *a, const void *b) {
    return strcmp(((const struct tr_tensor *)a)->name, ((const struct tr_tensor *)b)->name);
}

static int compare_places(const void *a_, const void *b_) {
    const struct tr_tensor *a = a_, *b = b_;
    int order = strcmp(a->name, b->name);
    return order ? order : (a->piece.file > b->piece.file) - (a->piece.file < b->piece.file);
}

static void sort_tensors(struct tr_checkpoint *checkpoint) {
    if (checkpoint->tensor_count)
        qsort(checkpoint->tensors, (size_t)checkpoint->tensor_count, sizeof *checkpoint->tensors,
              compare_places);
}

enum tr_status tr_checkpoint_sort(struct tr_checkpoint *checkpoint, struct tr_err *err) {
    const struct tr_tensor *tensors = checkpoint->tensors;
    sort_tensors(checkpoint);
    for (int64_t i = 1; i < checkpoint->tensor_count; i++)
        if (!compare_places(&tensors[i - 1], &tensors[i]))
            return tr_fail(err, TR_EFORMAT, "%s has two tensors %s",
                           checkpoint->files[tensors[i].piece.file].path, tensors[i].name);
    return TR_OK;
}

enum tr_status tr_checkpoint_stamp(struct tr_checkpoint *checkpoint, const char *name,
                                   const struct stat *info, const void *bytes, size_t size,
                                   struct tr_err *err) {
    char digest[TR_DIGEST_MAX];
    tr_digest_bytes(bytes, size, digest);
    return tr_string_format(&checkpoint->stamps, err, "%s %lld %lld.%09ld %s\n", name,
                            (long long)info->st_size, (long long)info->st_mtim.tv_sec,
                            info->st_mtim.tv_nsec, digest);
}

static enum tr_status load_config(struct tr_checkpoint *checkpoint, const char *name,
                                  struct tr_err *err) {
    TR_TRY(tr_path_join(&checkpoint->config_path, checkpoint->folder, name, err));
    return tr_checkpoint_load(checkpoint, name, CONFIG_LIMIT, &checkpoint->config,
                              &checkpoint->config_size, NULL, err);
}

enum tr_status tr_checkpoint_set_config(struct tr_checkpoint *checkpoint, const char *name,
                                        const char *json, size_t size, struct tr_err *err) {
    char *path, *config;
    TR_TRY(tr_path_join(&path, checkpoint->folder, name, err));
    enum tr_status status = TR_NEW(&config, (uint64_t)size + 1, "a configuration", err);
    if (status != TR_OK) {
        free(path);
        return status;
    }
    free(checkpoint->config_path);
    free(checkpoint->config);
    checkpoint->config_path = path;
    checkpoint->config = memcpy(config, json, size);
    checkpoint->config_size = size;
    return TR_OK;
}

// The configuration that was given for the whole series, from outside the folder.
static enum tr_status load_given(struct tr_checkpoint *checkpoint, const char *path,
                                 struct tr_err *err) {
    TR_TRY(tr_strdup(&checkpoint->config_path, path, err));
    return tr_file_load(path, CONFIG_LIMIT, &checkpoint->config, &checkpoint->config_size, err);
}

static enum tr_status find_config(struct tr_checkpoint *checkpoint,
                                  const struct tr_found_format *found, const char *given,
                                  struct tr_err *err) {
    bool there = false;
    if (given)
        TR_TRY(load_given(checkpoint, given, err));
    else if (!found->format->foreign_config)
        TR_TRY(tr_folder_has(checkpoint->folder, "config.json", &there, err));
    if (there)
        TR_TRY(load_config(checkpoint, "config.json", err));
    there = false;
    if (!checkpoint->config && checkpoint->above)
        TR_TRY(tr_folder_has(checkpoint->above, "config.json", &there, err));
    if (there)
        TR_TRY(load_config(checkpoint, "../config.json", err));
    if (!checkpoint->config && found->format->configure)
        TR_TRY(found->format->configure(checkpoint, found->name, err));
    if (!checkpoint->config)
        return tr_refuse_configless(checkpoint->folder, err);
    tr_digest_bytes(checkpoint->config, checkpoint->config_size, checkpoint->config_digest);
    return TR_OK;
}

// Into memory of their own: a name that a reader gave may be shared, or constant.
static enum tr_status unwrap_names(struct tr_checkpoint *checkpoint, struct tr_err *err) {
    uint64_t size = 0;
    for (int64_t i = 0; i < checkpoint->tensor_count; i++)
        size += strlen(checkpoint->tensors[i].name) + 1;
    TR_TRY(TR_NEW(&checkpoint->names, size, "the tensors' names", err));
    char *to = checkpoint->names;
    for (int64_t i = 0; i < checkpoint->tensor_count; i++) {
        struct tr_tensor *tensor = &checkpoint->tensors[i];
        size_t length = strlen(tensor->name) + 1;
        tensor->name = memcpy(to, tensor->name, length);
        tr_unwrap_name(to);
        tensor->unwrapped = strlen(to) + 1 < length;
        to += length;
    }
    sort_tensors(checkpoint);
    return TR_OK;
}

// What is opened, and how.
struct opening {
    const char *path;
    const struct tr_format *format; // NULL: to be looked for
    const char *config;             // NULL: the checkpoint's own
    bool weights;
};

// The folder of a checkpoint that is a file by itself, and the file's format.
static enum tr_status split_path(struct tr_checkpoint *checkpoint, const char *path,
                                 struct tr_found_format *found, struct tr_err *err) {
    const char *slash = strrchr(path, '/');
    TR_TRY(tr_strdup(&checkpoint->folder, slash ? path : ".", err));
    if (slash)
        checkpoint->folder[slash == path ? 1 : slash - path] = 0;
    return tr_format_of_file(checkpoint, slash ? slash + 1 : path, found, err);
}

static enum tr_status find_format(struct tr_checkpoint *checkpoint, const struct opening *opening,
                                  struct tr_found_format *found, struct tr_err *err) {
    struct stat info;
    if (!opening->format && !stat(opening->path, &info) && S_ISREG(info.st_mode))
        return split_path(checkpoint, opening->path, found, err);
    TR_TRY(tr_strdup(&checkpoint->folder, opening->path, err));
    if (!opening->format)
        return tr_format_of_folder(checkpoint, found, err);
    found->format = opening->format;
    return tr_strdup(&found->name, opening->format->name, err);
}

static enum tr_status open_found(struct tr_checkpoint *checkpoint, const struct opening *opening,
                                 const struct tr_found_format *found, struct tr_err *err) {
    TR_TRY(find_config(checkpoint, found, opening->config, err));
    if (!opening->weights)
        return TR_OK;
    TR_TRY(found->format->read(checkpoint, found->name, err));
    TR_TRY(unwrap_names(checkpoint, err));
    TR_TRY(tr_checkpoint_join_packed(checkpoint, err));
    sort_tensors(checkpoint);
    TR_TRY(tr_checkpoint_rename(checkpoint, err));
    sort_tensors(checkpoint);
    return TR_OK;
}

// What is wrong within a trainer's folder is plain only to who knows what it was read as.
static enum tr_status say_format(const struct tr_format *format, enum tr_status status,
                                 struct tr_err *err) {
    struct tr_err inner;
    if (!err || !format->what || (status != TR_EFORMAT && status != TR_EUNSUPPORTED) ||
        strstr(err->text, format->what))
        return status;
    inner = *err;
    return tr_fail(err, status, "%.900s (read as %s)", inner.text, format->what);
}

static enum tr_status open_new(struct tr_checkpoint **checkpoint_p, const struct opening *opening,
                               struct tr_err *err) {
    struct tr_checkpoint *checkpoint;
    struct tr_found_format found = {0};
    TR_TRY(TR_NEW(&checkpoint, 1, "a checkpoint", err));
    checkpoint->step = -1;
    checkpoint->model_parallel = 1;
    pthread_mutex_init(&checkpoint->mutex, NULL);
    enum tr_status status = find_format(checkpoint, opening, &found, err);
    if (status == TR_OK)
        status = say_format(found.format, open_found(checkpoint, opening, &found, err), err);
    free(found.name);
    if (status == TR_OK)
        *checkpoint_p = checkpoint;
    else
        tr_checkpoint_close(checkpoint);
    return status;
}

enum tr_status tr_checkpoint_open(struct tr_checkpoint **checkpoint_p, const char *path,
                                  struct tr_err *err) {
    return tr_checkpoint_open_with(checkpoint_p, path, NULL, err);
}

enum tr_status tr_checkpoint_open_with(struct tr_checkpoint **checkpoint_p, const char *path,
                                       const char *config, struct tr_err *err) {
    return open_new(checkpoint_p,
                    &(struct opening){.path = path, .config = config, .weights = true}, err);
}

enum tr_status tr_checkpoint_open_as(struct tr_checkpoint **checkpoint_p, const char *folder,
                                     const struct tr_format *format, struct tr_err *err) {
    return open_new(checkpoint_p,
                    &(struct opening){.path = folder, .format = format, .weights = true}, err);
}

enum tr_status tr_checkpoint_peek(struct tr_checkpoint **checkpoint_p, const char *path,
                                  const char *config, struct tr_err *err) {
    return open_new(checkpoint_p, &(struct opening){.path = path, .config = config}, err);
}

static void free_tensor(struct tr_tensor *tensor) {
    int count;
    const struct tr_tensor *stored = tr_tensor_stored(tensor, &count);
    for (int i = 0; i < count; i++)
        free(stored[i].pieces);
    free(tensor->packed);
}

void tr_checkpoint_close(struct tr_checkpoint *checkpoint) {
    if (!checkpoint)
        return;
    for (int64_t i = 0; i < checkpoint->tensor_count; i++)
        free_tensor(&checkpoint->tensors[i]);
    tr_checkpoint_close_files(checkpoint);
    pthread_mutex_destroy(&checkpoint->mutex);
    tr_index_free(&checkpoint->index);
    free(checkpoint->index_path);
    free(checkpoint->names);
    free(checkpoint->tensors);
    free(checkpoint->config);
    free(checkpoint->config_path);
    free(checkpoint->folder);
    free(checkpoint->above);
    tr_string_free(&checkpoint->stamps);
    tr_string_free(&checkpoint->choice);
    free(checkpoint);
}

const struct tr_tensor *tr_checkpoint_find(const struct tr_checkpoint *checkpoint,
                                           const char *name) {
    struct tr_tensor key = {.name = name};
    if (!checkpoint->tensor_count)
        return NULL;
    return bsearch(&key, checkpoint->tensors, (size_t)checkpoint->tensor_count, sizeof key,
                   compare_tensors);
}

int64_t tr_checkpoint_tensor_count(const struct tr_checkpoint *checkpoint) {
    return checkpoint->tensor_count;
}

const struct tr_tensor *tr_checkpoint_tensor(const struct tr_checkpoint *checkpoint,
                                             int64_t index) {
    return &checkpoint->tensors[index];
}

enum tr_status tr_checkpoint_read(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor,
                                  uint64_t begin, void *bytes, size_t size, struct tr_err *err) {
    const struct tr_weight_file *file = &checkpoint->files[tensor->piece.file];
    if (begin > tensor->bytes || size > tensor->bytes - begin)
        return tr_fail(err, TR_EUSAGE,
                       "%s: tensor %s has %" PRIu64 " bytes, %zu were asked for at %" PRIu64,
                       file->path, tensor->name, tensor->bytes, size, begin);
    if (tensor->packed)
        return tr_packed_read(checkpoint, tensor, begin, bytes, size, err);
    if (tensor->strided)
        return tr_pieces_read(checkpoint, tensor, begin, bytes, size, err);
    int fd = -1;
    TR_TRY(tr_checkpoint_take_file(checkpoint, tensor->piece.file, &fd, err));
    enum tr_status status =
        tr_file_read_at(fd, file->path, tensor->piece.offset + begin, bytes, size, err);
    tr_checkpoint_give_file(checkpoint, tensor->piece.file);
    return status;
}

static void will_read(struct tr_checkpoint *checkpoint, const struct tr_piece *piece,
                      uint64_t bytes) {
    int fd = -1;
    if (tr_checkpoint_take_file(checkpoint, piece->file, &fd, NULL) != TR_OK)
        return; // reading says why
    posix_fadvise(fd, (off_t)piece->offset, (off_t)bytes, POSIX_FADV_WILLNEED);
    tr_checkpoint_give_file(checkpoint, piece->file);
}

static void will_read_stored(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor) {
    int64_t count;
    const struct tr_piece *pieces = tr_tensor_pieces(tensor, &count);
    for (int64_t i = 0; i < count; i++)
        will_read(checkpoint, &pieces[i],
                  tensor->strided ? tr_piece_span(tensor, &pieces[i]) : tensor->bytes);
}

void tr_checkpoint_will_read(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor) {
    int count;
    const struct tr_tensor *stored = tr_tensor_stored(tensor, &count);
    for (int i = 0; i < count; i++)
        will_read_stored(checkpoint, &stored[i]);
}

const char *tr_checkpoint_choice(const struct tr_checkpoint *checkpoint) {
    return checkpoint->choice.data ? checkpoint->choice.data : "";
}

const char *tr_checkpoint_file(const struct tr_checkpoint *checkpoint,
                               const struct tr_tensor *tensor) {
    return checkpoint->files[tensor->piece.file].path;
}

uint64_t tr_checkpoint_bytes(const struct tr_checkpoint *checkpoint) {
    uint64_t bytes = 0;
    for (int i = 0; i < checkpoint->file_count; i++)
        bytes += checkpoint->files[i].size;
    return bytes;
}

const char *tr_checkpoint_config(const struct tr_checkpoint *checkpoint, size_t *size_p) {
    *size_p = checkpoint->config_size;
    return checkpoint->config;
}

const char *tr_checkpoint_config_digest(const struct tr_checkpoint *checkpoint) {
    return checkpoint->config_digest;
}

const char *tr_checkpoint_config_path(const struct tr_checkpoint *checkpoint) {
    return checkpoint->config_path;
}

int64_t tr_checkpoint_step(const struct tr_checkpoint *checkpoint) {
    return checkpoint->step;
}

void tr_checkpoint_identity(const struct tr_checkpoint *checkpoint, char out[TR_DIGEST_MAX]) {
    tr_digest_bytes(checkpoint->stamps.data, checkpoint->stamps.size, out);
}
