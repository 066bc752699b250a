// SPDX-License-Identifier: Apache-2.0
#include "store/parts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/strings.h"

static const char lock_name[] = ".lock", mark_name[] = ".fresh";

enum tr_status tr_parts_path(char **path_p, const char *out_path, struct tr_err *err) {
    struct tr_string path = {0};
    char *target;
    TR_TRY(tr_file_target(&target, out_path, err));
    enum tr_status status = tr_string_format(&path, err, "%s.parts", target);
    free(target);
    if (status == TR_OK)
        *path_p = path.data;
    return status;
}

// The parent folder is synced, so that the folder itself survives a crash and not only its files.
static enum tr_status sync_parent(const char *folder, struct tr_err *err) {
    char *parent;
    TR_TRY(tr_path_join(&parent, folder, "..", err));
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum tr_status status = TR_OK;
    if (fd < 0 || (fsync(fd) && errno != EINVAL))
        status = tr_fail(err, TR_EIO, "cannot sync the folder of %s: %s", folder, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(parent);
    return status;
}

// Whoever may not read OUT may not read its parts either.
static mode_t folder_mode(const char *out_path) {
    struct stat out;
    if (stat(out_path, &out))
        return 0777;
    return 0700 | (out.st_mode & 0040 ? 0070 : 0) | (out.st_mode & 0004 ? 0007 : 0);
}

enum tr_status tr_parts_create(const char *folder, const char *out_path, struct tr_err *err) {
    if (!mkdir(folder, folder_mode(out_path)))
        return sync_parent(folder, err);
    if (errno == EEXIST)
        return TR_OK;
    return tr_fail(err, TR_EIO, "cannot create the folder %s: %s", folder, strerror(errno));
}

// ---- names -----------------------------------------------------------------------------------

// Letters, digits, '_', '-' and inner dots stay; 64 characters at most.
static void harmless(const char *name, char out[65]) {
    size_t size = 0;
    for (; *name && size < 64; name++) {
        unsigned char c = (unsigned char)*name;
        bool keep = c < 0x80 && (isalnum(c) || c == '_' || c == '-' || (c == '.' && size));
        out[size++] = keep ? (char)c : '_';
    }
    out[size] = 0;
}

enum tr_status tr_part_path(char **path_p, const char *folder, const char *name,
                            struct tr_err *err) {
    char readable[65], digest[TR_DIGEST_MAX];
    harmless(name, readable);
    tr_digest_bytes(name, strlen(name), digest);
    struct tr_string path = {0};
    TR_TRY(tr_string_format(&path, err, "%s/%s-%s.h5", folder, readable, digest));
    *path_p = path.data;
    return TR_OK;
}

static void host_name(char out[65]) {
    char host[HOST_NAME_MAX + 1] = "";
    gethostname(host, sizeof host - 1);
    harmless(host, out);
}

enum tr_status tr_part_temporary(char **path_p, const char *folder, struct tr_err *err) {
    static atomic_uint counter;
    char host[65];
    host_name(host);
    struct tr_string path = {0};
    TR_TRY(tr_string_format(&path, err, "%s/.%s-%d-%u.h5", folder, host, (int)getpid(),
                            atomic_fetch_add(&counter, 1)));
    *path_p = path.data;
    return TR_OK;
}

// A store that was being written, or a mark: ".fresh.tmp123".
static bool is_temporary(const char *name) {
    size_t size = strlen(name), mark = sizeof mark_name - 1;
    return (name[0] == '.' && size > 3 && !strcmp(name + size - 3, ".h5")) ||
           (!strncmp(name, mark_name, mark) && name[mark] == '.');
}

static bool is_committed(const char *name) {
    return name[0] != '.' && strlen(name) > 3 && !strcmp(name + strlen(name) - 3, ".h5");
}

// ---- listing ---------------------------------------------------------------------------------

static int compare_paths(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum tr_status list_open(struct tr_part_list *list, DIR *open_folder, const char *folder,
                                bool (*wanted)(const char *name), struct tr_err *err) {
    for (struct dirent *entry; errno = 0, (entry = readdir(open_folder));) {
        if (!wanted(entry->d_name))
            continue;
        TR_TRY(tr_grow((void **)&list->paths, &list->capacity, (uint64_t)list->count + 1,
                       sizeof *list->paths, "a list of files", err));
        TR_TRY(tr_path_join(&list->paths[list->count], folder, entry->d_name, err));
        list->count++;
    }
    if (errno)
        return tr_fail(err, TR_EIO, "cannot read the folder %s: %s", folder, strerror(errno));
    if (list->count)
        qsort(list->paths, (size_t)list->count, sizeof *list->paths, compare_paths);
    return TR_OK;
}

static enum tr_status list_files(struct tr_part_list *list, const char *folder,
                                 bool (*wanted)(const char *name), struct tr_err *err) {
    *list = (struct tr_part_list){0};
    DIR *open_folder = opendir(folder);
    if (!open_folder && errno == ENOENT)
        return TR_OK;
    if (!open_folder)
        return tr_fail(err, TR_EIO, "cannot read the folder %s: %s", folder, strerror(errno));
    enum tr_status status = list_open(list, open_folder, folder, wanted, err);
    closedir(open_folder);
    if (status != TR_OK)
        tr_part_list_free(list);
    return status;
}

enum tr_status tr_parts_list(struct tr_part_list *list, const char *folder, struct tr_err *err) {
    return list_files(list, folder, is_committed, err);
}

void tr_part_list_free(struct tr_part_list *list) {
    for (int64_t i = 0; i < list->count; i++)
        free(list->paths[i]);
    free(list->paths);
    *list = (struct tr_part_list){0};
}

static enum tr_status remove_files(const char *folder, bool (*wanted)(const char *name),
                                   struct tr_err *err) {
    struct tr_part_list list;
    TR_TRY(list_files(&list, folder, wanted, err));
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < list.count && status == TR_OK; i++)
        if (unlink(list.paths[i]) && errno != ENOENT)
            status = tr_fail(err, TR_EIO, "cannot remove %s: %s", list.paths[i], strerror(errno));
    tr_part_list_free(&list);
    return status;
}

enum tr_status tr_parts_clean(const char *folder, bool committed, struct tr_err *err) {
    TR_TRY(remove_files(folder, is_temporary, err));
    return committed ? remove_files(folder, is_committed, err) : TR_OK;
}

// ---- the mark --------------------------------------------------------------------------------

enum tr_status tr_parts_supersede(const char *folder, struct tr_err *err) {
    char *path;
    TR_TRY(tr_path_join(&path, folder, mark_name, err));
    enum tr_status status = tr_file_replace(path, "", 0, err);
    free(path);
    return status;
}

enum tr_status tr_parts_superseded(const char *folder, bool *superseded_p, struct tr_err *err) {
    char *path;
    TR_TRY(tr_path_join(&path, folder, mark_name, err));
    bool marked = tr_file_exists(path);
    free(path);
    struct tr_part_list parts = {0};
    if (marked)
        TR_TRY(tr_parts_list(&parts, folder, err));
    *superseded_p = marked && parts.count > 0;
    tr_part_list_free(&parts);
    return TR_OK;
}

enum tr_status tr_parts_unsupersede(const char *folder, struct tr_err *err) {
    char *path;
    TR_TRY(tr_path_join(&path, folder, mark_name, err));
    enum tr_status status = TR_OK;
    if (unlink(path) && errno != ENOENT)
        status = tr_fail(err, TR_EIO, "cannot remove %s: %s", path, strerror(errno));
    free(path);
    return status;
}

// ---- the lock --------------------------------------------------------------------------------

static enum tr_status conflict(int fd, const char *out_path, struct tr_err *err) {
    char holder[128] = "";
    ssize_t size = pread(fd, holder, sizeof holder - 1, 0);
    if (size <= 0)
        return tr_fail(err, TR_ECONFLICT, "another job is writing %s", out_path);
    holder[strcspn(holder, "\n")] = 0;
    return tr_fail(err, TR_ECONFLICT, "another job is writing %s: %s", out_path, holder);
}

// Whether the file we locked is still the one of that name: its holder may have removed it between
// our opening and locking it.
static bool still_there(int fd, const char *path) {
    struct stat ours, there;
    return !fstat(fd, &ours) && !stat(path, &there) && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

// Returns TR_OK with *fd_p < 0 when the caller has to try again.
static enum tr_status try_lock(int *fd_p, const char *path, const char *out_path,
                               struct tr_err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return tr_fail(err, TR_EIO, "cannot create %s: %s", path, strerror(errno));
    enum tr_status status = TR_OK;
    // A file system that has no locks (ENOLCK, ENOSYS, EOPNOTSUPP) goes without.
    if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        status = conflict(fd, out_path, err);
    if (status == TR_OK && still_there(fd, path)) {
        *fd_p = fd;
        return TR_OK;
    }
    close(fd);
    return status;
}

static enum tr_status name_holder(int fd, const char *path, struct tr_err *err) {
    char host[65];
    host_name(host);
    if (ftruncate(fd, 0) || dprintf(fd, "process %d on %s\n", (int)getpid(), host) < 0)
        return tr_fail(err, TR_EIO, "cannot write %s: %s", path, strerror(errno));
    return TR_OK;
}

enum tr_status tr_parts_lock(int *fd_p, const char *folder, const char *out_path,
                             struct tr_err *err) {
    char *path;
    TR_TRY(tr_path_join(&path, folder, lock_name, err));
    int fd = -1;
    enum tr_status status = TR_OK;
    while (status == TR_OK && fd < 0) {
        status = tr_parts_create(folder, out_path, err);
        if (status == TR_OK)
            status = try_lock(&fd, path, out_path, err);
    }
    if (status == TR_OK)
        status = name_holder(fd, path, err);
    free(path);
    if (status == TR_OK)
        *fd_p = fd;
    else if (fd >= 0)
        close(fd);
    return status;
}

void tr_parts_unlock(int fd, const char *folder) {
    char *path;
    if (tr_path_join(&path, folder, lock_name, NULL) == TR_OK) {
        struct tr_part_list left;
        if (tr_parts_list(&left, folder, NULL) == TR_OK && left.count == 0) {
            tr_parts_unsupersede(folder, NULL);
            unlink(path);
            rmdir(folder);
        }
        tr_part_list_free(&left);
        free(path);
    }
    close(fd);
}
