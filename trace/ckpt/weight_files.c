// SPDX-License-Identifier: Apache-2.0
// The files of an open checkpoint. Thousands of shards would be more than a process may have open:
// those asked for least recently are closed, and opened again when they are needed.
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "reader.h"

enum { MOST_OPEN = 32 };

static enum tr_status changed(const char *path, struct tr_err *err) {
    return tr_fail(err, TR_EIO, "%s changed while it was read", path);
}

// Closes the file asked for least recently unless one is read by all that are open.
static void close_one(struct tr_checkpoint *checkpoint) {
    struct tr_weight_file *oldest = NULL;
    for (int i = 0; i < checkpoint->file_count; i++) {
        struct tr_weight_file *file = &checkpoint->files[i];
        if (file->fd >= 0 && !file->users && (!oldest || file->used < oldest->used))
            oldest = file;
    }
    if (!oldest)
        return;
    close(oldest->fd);
    oldest->fd = -1;
    checkpoint->open_count--;
}

static enum tr_status open_file(struct tr_checkpoint *checkpoint, struct tr_weight_file *file,
                                struct stat *info_p, struct tr_err *err) {
    if (checkpoint->open_count >= MOST_OPEN)
        close_one(checkpoint);
    TR_TRY(tr_file_open(file->path, &file->fd, info_p, err));
    checkpoint->open_count++;
    file->used = ++checkpoint->clock;
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
    TR_TRY(open_file(checkpoint, file, &file->info, err));
    file->size = (uint64_t)file->info.st_size;
    *file_p = file;
    return TR_OK;
}

static enum tr_status reopen(struct tr_checkpoint *checkpoint, struct tr_weight_file *file,
                             struct tr_err *err) {
    struct stat info;
    TR_TRY(open_file(checkpoint, file, &info, err));
    if (tr_file_same(&file->info, &info))
        return TR_OK;
    close(file->fd);
    file->fd = -1;
    checkpoint->open_count--;
    return changed(file->path, err);
}

enum tr_status tr_checkpoint_take_file(struct tr_checkpoint *checkpoint, int index, int *fd_p,
                                       struct tr_err *err) {
    struct tr_weight_file *file = &checkpoint->files[index];
    enum tr_status status = TR_OK;
    pthread_mutex_lock(&checkpoint->mutex);
    if (file->fd < 0)
        status = reopen(checkpoint, file, err);
    if (status == TR_OK) {
        file->users++;
        file->used = ++checkpoint->clock;
        *fd_p = file->fd;
    }
    pthread_mutex_unlock(&checkpoint->mutex);
    return status;
}

void tr_checkpoint_give_file(struct tr_checkpoint *checkpoint, int index) {
    pthread_mutex_lock(&checkpoint->mutex);
    checkpoint->files[index].users--;
    pthread_mutex_unlock(&checkpoint->mutex);
}

enum tr_status tr_checkpoint_keep(struct tr_checkpoint *checkpoint, const char *name,
                                  const char **kept_p, struct tr_err *err) {
    TR_TRY(tr_grow((void **)&checkpoint->kept, &checkpoint->kept_capacity,
                   (uint64_t)checkpoint->kept_count + 1, sizeof *checkpoint->kept,
                   "the tensors' names", err));
    TR_TRY(tr_strdup(&checkpoint->kept[checkpoint->kept_count], name, err));
    *kept_p = checkpoint->kept[checkpoint->kept_count++];
    return TR_OK;
}

static enum tr_status remember(struct tr_checkpoint *checkpoint, char *path,
                               const struct stat *info, struct tr_err *err) {
    TR_TRY(tr_grow((void **)&checkpoint->small, &checkpoint->small_capacity,
                   (uint64_t)checkpoint->small_count + 1, sizeof *checkpoint->small,
                   "the table of files", err));
    checkpoint->small[checkpoint->small_count++] = (struct tr_small_file){path, *info};
    return TR_OK;
}

enum tr_status tr_checkpoint_load(struct tr_checkpoint *checkpoint, const char *name,
                                  uint64_t limit, char **bytes_p, size_t *size_p,
                                  struct stat *info_p, struct tr_err *err) {
    char *path, *bytes = NULL;
    size_t size = 0;
    struct stat info;
    TR_TRY(tr_path_join(&path, checkpoint->folder, name, err));
    enum tr_status status = tr_file_load_info(path, limit, &bytes, &size, &info, err);
    if (status == TR_OK)
        status = tr_refuse_placeholder(path, bytes, size, err);
    if (status == TR_OK)
        status = remember(checkpoint, path, &info, err);
    if (status != TR_OK) {
        free(bytes);
        free(path);
        return status;
    }
    *bytes_p = bytes;
    *size_p = size;
    if (info_p)
        *info_p = info;
    return TR_OK;
}

// Opened, not only looked at: a network file system asks its server then.
static enum tr_status check_file(const char *path, const struct stat *before, struct tr_err *err) {
    struct stat now;
    int fd = -1;
    if (tr_file_open(path, &fd, &now, NULL) != TR_OK)
        return tr_fail(err, TR_EIO, "%s changed while it was read: it cannot be opened any more",
                       path);
    close(fd);
    return tr_file_same(before, &now) ? TR_OK : changed(path, err);
}

enum tr_status tr_checkpoint_unchanged(const struct tr_checkpoint *checkpoint, struct tr_err *err) {
    for (int i = 0; i < checkpoint->small_count; i++)
        TR_TRY(check_file(checkpoint->small[i].path, &checkpoint->small[i].info, err));
    for (int i = 0; i < checkpoint->file_count; i++)
        TR_TRY(check_file(checkpoint->files[i].path, &checkpoint->files[i].info, err));
    return TR_OK;
}

void tr_checkpoint_close_files(struct tr_checkpoint *checkpoint) {
    for (int i = 0; i < checkpoint->file_count; i++) {
        struct tr_weight_file *file = &checkpoint->files[i];
        if (file->fd >= 0)
            close(file->fd);
        free(file->name);
        free(file->path);
        free(file->names);
    }
    for (int i = 0; i < checkpoint->small_count; i++)
        free(checkpoint->small[i].path);
    for (int64_t i = 0; i < checkpoint->kept_count; i++)
        free(checkpoint->kept[i]);
    free(checkpoint->kept);
    free(checkpoint->files);
    free(checkpoint->small);
}
