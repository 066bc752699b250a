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
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/strings.h"

static const char mark_name[] = ".fresh", shard_name[] = ".shard-";

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

void tr_part_host(char out[TR_HOST_MAX]) {
    char host[HOST_NAME_MAX + 1] = "";
    gethostname(host, sizeof host - 1);
    harmless(host, out);
}

enum tr_status tr_part_temporary(char **path_p, const char *folder, struct tr_err *err) {
    static atomic_uint counter;
    char host[TR_HOST_MAX];
    tr_part_host(host);
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

static bool is_shard(const char *name) {
    return !strncmp(name, shard_name, sizeof shard_name - 1);
}

static bool is_note(const char *name) {
    return !strncmp(name, TR_NOTE_PREFIX, sizeof TR_NOTE_PREFIX - 1);
}

static bool is_deaths(const char *name) {
    return !strncmp(name, TR_DEATHS_PREFIX, sizeof TR_DEATHS_PREFIX - 1);
}

// Keeps the notes of one shard.
static void keep_shard(struct tr_part_list *list, const char *folder, struct tr_shard shard) {
    char prefix[64];
    int64_t kept = 0;
    size_t skip = strlen(folder) + 1;
    int size = snprintf(prefix, sizeof prefix, TR_NOTE_PREFIX "%lld-of-%lld-",
                        (long long)shard.index, (long long)shard.count);
    for (int64_t i = 0; i < list->count; i++)
        if (!strncmp(list->paths[i] + skip, prefix, (size_t)size))
            list->paths[kept++] = list->paths[i];
        else
            free(list->paths[i]);
    list->count = kept;
}

enum tr_status tr_parts_list_notes(struct tr_part_list *list, const char *folder,
                                   struct tr_shard shard, struct tr_err *err) {
    TR_TRY(list_files(list, folder, is_note, err));
    if (shard.index)
        keep_shard(list, folder, shard);
    return TR_OK;
}

enum tr_status tr_parts_list_deaths(struct tr_part_list *list, const char *folder,
                                    struct tr_err *err) {
    return list_files(list, folder, is_deaths, err);
}

enum tr_status tr_parts_list_shards(struct tr_part_list *list, const char *folder,
                                    struct tr_err *err) {
    return list_files(list, folder, is_shard, err);
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

enum tr_status tr_parts_forget_deaths(const char *folder, struct tr_err *err) {
    TR_TRY(remove_files(folder, is_note, err));
    return remove_files(folder, is_deaths, err);
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
