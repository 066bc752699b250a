// SPDX-License-Identifier: Apache-2.0
#include "ckpt/checkpoint.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "pieces.h"
#include "reader.h"

enum { CONFIG_LIMIT = 16 << 20 }; // bytes

// The formats, in the order in which they are preferred; recognised by the presence of a file.
static const struct tr_format formats[] = {
    {"model.safetensors", tr_read_safetensors, NULL},
    {"model.safetensors.index.json", tr_read_safetensors_index, NULL},
    {"pytorch_model.bin", tr_read_torch, NULL},
    {"pytorch_model.bin.index.json", tr_read_torch_index, NULL},
    {"model.pt", tr_read_torch, NULL},
};
enum { FORMATS = sizeof formats / sizeof *formats };

enum tr_status tr_refuse_placeholder(const char *path, const void *bytes, size_t size,
                                     struct tr_err *err) {
    if (!size)
        return tr_fail(err, TR_EFORMAT, "%s is empty: its download did not finish", path);
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

enum tr_status tr_folder_has(const char *folder, const char *name, bool *has_p,
                             struct tr_err *err) {
    char *path;
    TR_TRY(tr_path_join(&path, folder, name, err));
    *has_p = faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    free(path);
    return TR_OK;
}

enum tr_status tr_folder_has_weights(const char *folder, bool *has_p, struct tr_err *err) {
    *has_p = false;
    for (int i = 0; i < FORMATS && !*has_p; i++)
        TR_TRY(tr_folder_has(folder, formats[i].name, has_p, err));
    return TR_OK;
}

static enum tr_status refuse(const char *folder, struct tr_err *err) {
    struct tr_string names = {0};
    enum tr_status status = TR_OK;
    for (int i = 0; i < FORMATS && status == TR_OK; i++)
        status = tr_string_format(&names, err, "%s%s",
                                  !i                 ? ""
                                  : i == FORMATS - 1 ? " or "
                                                     : ", ",
                                  formats[i].name);
    if (status == TR_OK)
        status = tr_refuse_folder(folder, names.data, err);
    tr_string_free(&names);
    return status;
}

// The first format that is there; the others that are go into the words of the choice.
static enum tr_status find_format(struct tr_checkpoint *checkpoint,
                                  const struct tr_format **format_p, struct tr_err *err) {
    struct tr_string *choice = &checkpoint->choice;
    *format_p = NULL;
    for (int i = 0; i < FORMATS; i++) {
        bool found;
        TR_TRY(tr_folder_has(checkpoint->folder, formats[i].name, &found, err));
        if (found && *format_p)
            TR_TRY(choice->size ? tr_string_format(choice, err, " or %s", formats[i].name)
                                : tr_string_format(choice, err, "%s is read, not %s",
                                                   (*format_p)->name, formats[i].name));
        else if (found)
            *format_p = &formats[i];
    }
    return *format_p ? TR_OK : refuse(checkpoint->folder, err);
}

static enum tr_status load_config(struct tr_checkpoint *checkpoint, struct tr_err *err) {
    TR_TRY(tr_path_join(&checkpoint->config_path, checkpoint->folder, "config.json", err));
    return tr_checkpoint_load(checkpoint, "config.json", CONFIG_LIMIT, &checkpoint->config,
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

static enum tr_status find_config(struct tr_checkpoint *checkpoint, const struct tr_format *format,
                                  struct tr_err *err) {
    bool found;
    TR_TRY(tr_folder_has(checkpoint->folder, "config.json", &found, err));
    if (found)
        TR_TRY(load_config(checkpoint, err));
    else if (format->configure)
        TR_TRY(format->configure(checkpoint, format->name, err));
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

static enum tr_status open_folder(struct tr_checkpoint *checkpoint, const char *folder,
                                  const struct tr_format *format, bool weights,
                                  struct tr_err *err) {
    TR_TRY(tr_strdup(&checkpoint->folder, folder, err));
    if (!format)
        TR_TRY(find_format(checkpoint, &format, err));
    TR_TRY(find_config(checkpoint, format, err));
    if (!weights)
        return TR_OK;
    TR_TRY(format->read(checkpoint, format->name, err));
    return unwrap_names(checkpoint, err);
}

// `format`: NULL to look for one.
static enum tr_status open_new(struct tr_checkpoint **checkpoint_p, const char *folder,
                               const struct tr_format *format, bool weights, struct tr_err *err) {
    struct tr_checkpoint *checkpoint;
    TR_TRY(TR_NEW(&checkpoint, 1, "a checkpoint", err));
    checkpoint->step = -1;
    pthread_mutex_init(&checkpoint->mutex, NULL);
    enum tr_status status = open_folder(checkpoint, folder, format, weights, err);
    if (status == TR_OK)
        *checkpoint_p = checkpoint;
    else
        tr_checkpoint_close(checkpoint);
    return status;
}

enum tr_status tr_checkpoint_open(struct tr_checkpoint **checkpoint_p, const char *folder,
                                  struct tr_err *err) {
    return open_new(checkpoint_p, folder, NULL, true, err);
}

enum tr_status tr_checkpoint_open_as(struct tr_checkpoint **checkpoint_p, const char *folder,
                                     const struct tr_format *format, struct tr_err *err) {
    return open_new(checkpoint_p, folder, format, true, err);
}

enum tr_status tr_checkpoint_peek(struct tr_checkpoint **checkpoint_p, const char *folder,
                                  struct tr_err *err) {
    return open_new(checkpoint_p, folder, NULL, false, err);
}

void tr_checkpoint_close(struct tr_checkpoint *checkpoint) {
    if (!checkpoint)
        return;
    for (int64_t i = 0; i < checkpoint->tensor_count; i++)
        free(checkpoint->tensors[i].pieces);
    tr_checkpoint_close_files(checkpoint);
    pthread_mutex_destroy(&checkpoint->mutex);
    tr_index_free(&checkpoint->index);
    free(checkpoint->index_path);
    free(checkpoint->names);
    free(checkpoint->tensors);
    free(checkpoint->config);
    free(checkpoint->config_path);
    free(checkpoint->folder);
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

void tr_checkpoint_will_read(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor) {
    int64_t count;
    const struct tr_piece *pieces = tr_tensor_pieces(tensor, &count);
    for (int64_t i = 0; i < count; i++)
        will_read(checkpoint, &pieces[i],
                  tensor->strided ? tr_piece_span(tensor, &pieces[i]) : tensor->bytes);
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
