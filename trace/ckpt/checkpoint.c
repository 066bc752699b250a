// SPDX-License-Identifier: Apache-2.0
#include "ckpt/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
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
    static const char pointer[] = "version https://git-lfs.github.com/spec/";
    if (!size)
        return tr_fail(err, TR_EFORMAT, "%s is empty: its download did not finish", path);
    if (size >= sizeof pointer - 1 && !memcmp(bytes, pointer, sizeof pointer - 1))
        return tr_fail(err, TR_EFORMAT,
                       "%s is a git-LFS pointer, not the file itself: run `git lfs pull` in its "
                       "repository",
                       path);
    return TR_OK;
}

static enum tr_status open_regular(struct tr_weight_file *file, struct tr_err *err) {
    file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO must not hang us
    if (file->fd < 0)
        return tr_fail(err, TR_EIO, "cannot open %s: %s", file->path, strerror(errno));
    if (fstat(file->fd, &file->info))
        return tr_fail(err, TR_EIO, "cannot examine %s: %s", file->path, strerror(errno));
    if (!S_ISREG(file->info.st_mode))
        return tr_fail(err, TR_EFORMAT, "%s is not a regular file", file->path);
    file->size = (uint64_t)file->info.st_size;
    return TR_OK;
}

enum tr_status tr_checkpoint_add_file(struct tr_checkpoint *checkpoint, const char *name,
                                      struct tr_weight_file **file_p, struct tr_err *err) {
    TR_TRY(tr_grow((void **)&checkpoint->files, &checkpoint->file_capacity,
                   (uint64_t)checkpoint->file_count + 1, sizeof *checkpoint->files,
                   "the table of files", err));
    struct tr_weight_file *file = &checkpoint->files[checkpoint->file_count++];
    *file = (struct tr_weight_file){.fd = -1};
    TR_TRY(tr_strdup(&file->name, name, err));
    TR_TRY(tr_path_join(&file->path, checkpoint->folder, name, err));
    TR_TRY(open_regular(file, err));
    *file_p = file;
    return TR_OK;
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

enum tr_status tr_checkpoint_sort(struct tr_checkpoint *checkpoint, struct tr_err *err) {
    struct tr_tensor *tensors = checkpoint->tensors;
    if (checkpoint->tensor_count)
        qsort(tensors, (size_t)checkpoint->tensor_count, sizeof *tensors, compare_tensors);
    for (int64_t i = 1; i < checkpoint->tensor_count; i++) {
        if (strcmp(tensors[i - 1].name, tensors[i].name))
            continue;
        if (tensors[i - 1].piece.file == tensors[i].piece.file)
            return tr_fail(err, TR_EFORMAT, "%s has two tensors %s",
                           checkpoint->files[tensors[i].piece.file].path, tensors[i].name);
        return tr_fail(err, TR_EFORMAT, "%s: tensor %s is in both %s and %s", checkpoint->folder,
                       tensors[i].name, checkpoint->files[tensors[i - 1].piece.file].name,
                       checkpoint->files[tensors[i].piece.file].name);
    }
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

// Whether the folder has an entry of that name, be it a broken link: opening it then says so.
static enum tr_status has_entry(const char *folder, const char *name, bool *has_p,
                                struct tr_err *err) {
    char *path;
    TR_TRY(tr_path_join(&path, folder, name, err));
    *has_p = faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    free(path);
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

static enum tr_status find_format(const char *folder, const struct tr_format **format_p,
                                  struct tr_err *err) {
    for (int i = 0; i < FORMATS; i++) {
        bool found;
        TR_TRY(has_entry(folder, formats[i].name, &found, err));
        if (found) {
            *format_p = &formats[i];
            return TR_OK;
        }
    }
    return refuse(folder, err);
}

static enum tr_status load_config(struct tr_checkpoint *checkpoint, struct tr_err *err) {
    const char *path = checkpoint->config_path;
    TR_TRY(tr_file_load(path, CONFIG_LIMIT, &checkpoint->config, &checkpoint->config_size, err));
    return tr_refuse_placeholder(path, checkpoint->config, checkpoint->config_size, err);
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
    TR_TRY(has_entry(checkpoint->folder, "config.json", &found, err));
    if (found) {
        TR_TRY(tr_path_join(&checkpoint->config_path, checkpoint->folder, "config.json", err));
        TR_TRY(load_config(checkpoint, err));
    } else if (format->configure) {
        TR_TRY(format->configure(checkpoint, format->name, err));
    }
    if (!checkpoint->config)
        return tr_fail(err, TR_EFORMAT, "%s has no config.json", checkpoint->folder);
    tr_digest_bytes(checkpoint->config, checkpoint->config_size, checkpoint->config_digest);
    return TR_OK;
}

static bool all_begin_with(const struct tr_checkpoint *checkpoint, const char *prefix) {
    size_t size = strlen(prefix);
    for (int64_t i = 0; i < checkpoint->tensor_count; i++)
        if (strncmp(checkpoint->tensors[i].name, prefix, size) ||
            !checkpoint->tensors[i].name[size])
            return false;
    return checkpoint->tensor_count > 0;
}

// Takes off what DistributedDataParallel and torch.compile put before every name. The order of the
// names stays.
static void strip_wrappers(struct tr_checkpoint *checkpoint) {
    static const char *const prefixes[] = {"module.", "_orig_mod."};
    enum { PREFIXES = sizeof prefixes / sizeof *prefixes };
    for (int p = 0; p < PREFIXES; p++)
        if (all_begin_with(checkpoint, prefixes[p])) {
            for (int64_t i = 0; i < checkpoint->tensor_count; i++)
                checkpoint->tensors[i].name += strlen(prefixes[p]);
            p = -1; // they may be nested in any order
        }
}

static enum tr_status open_folder(struct tr_checkpoint *checkpoint, const char *folder,
                                  const struct tr_format *format, struct tr_err *err) {
    TR_TRY(tr_strdup(&checkpoint->folder, folder, err));
    TR_TRY(find_config(checkpoint, format, err));
    TR_TRY(format->read(checkpoint, format->name, err));
    strip_wrappers(checkpoint);
    return TR_OK;
}

enum tr_status tr_checkpoint_open_as(struct tr_checkpoint **checkpoint_p, const char *folder,
                                     const struct tr_format *format, struct tr_err *err) {
    struct tr_checkpoint *checkpoint;
    TR_TRY(TR_NEW(&checkpoint, 1, "a checkpoint", err));
    checkpoint->step = -1;
    enum tr_status status = open_folder(checkpoint, folder, format, err);
    if (status == TR_OK)
        *checkpoint_p = checkpoint;
    else
        tr_checkpoint_close(checkpoint);
    return status;
}

enum tr_status tr_checkpoint_open(struct tr_checkpoint **checkpoint_p, const char *folder,
                                  struct tr_err *err) {
    const struct tr_format *format = NULL;
    TR_TRY(find_format(folder, &format, err));
    return tr_checkpoint_open_as(checkpoint_p, folder, format, err);
}

void tr_checkpoint_close(struct tr_checkpoint *checkpoint) {
    if (!checkpoint)
        return;
    for (int i = 0; i < checkpoint->file_count; i++) {
        struct tr_weight_file *file = &checkpoint->files[i];
        if (file->fd >= 0)
            close(file->fd);
        free(file->name);
        free(file->path);
        free(file->names);
    }
    for (int64_t i = 0; i < checkpoint->tensor_count; i++)
        free(checkpoint->tensors[i].pieces);
    free(checkpoint->files);
    free(checkpoint->tensors);
    free(checkpoint->config);
    free(checkpoint->config_path);
    free(checkpoint->folder);
    tr_string_free(&checkpoint->stamps);
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

const struct tr_tensor *tr_checkpoint_find_prefixed(const struct tr_checkpoint *checkpoint,
                                                    const char *name, const char *prefix) {
    char prefixed[256];
    size_t size = strlen(prefix);
    const struct tr_tensor *tensor = tr_checkpoint_find(checkpoint, name);
    if (!tensor && !strncmp(name, prefix, size))
        tensor = tr_checkpoint_find(checkpoint, name + size);
    if (!tensor &&
        (size_t)snprintf(prefixed, sizeof prefixed, "%s%s", prefix, name) < sizeof prefixed)
        tensor = tr_checkpoint_find(checkpoint, prefixed);
    return tensor;
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
    return tr_file_read_at(file->fd, file->path, tensor->piece.offset + begin, bytes, size, err);
}

void tr_checkpoint_will_read(struct tr_checkpoint *checkpoint, const struct tr_tensor *tensor) {
    int64_t count;
    const struct tr_piece *pieces = tr_tensor_pieces(tensor, &count);
    for (int64_t i = 0; i < count; i++) {
        uint64_t bytes = tensor->strided ? tr_piece_span(tensor, &pieces[i]) : tensor->bytes;
        posix_fadvise(checkpoint->files[pieces[i].file].fd, (off_t)pieces[i].offset, (off_t)bytes,
                      POSIX_FADV_WILLNEED);
    }
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
