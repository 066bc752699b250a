// SPDX-License-Identifier: Apache-2.0
#include "mounts.h"

#include <limits.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Lustre's flock(2) is of one node with localflock and absent with noflock (mount.lustre(8)); NFS
// keeps locks to the host with nolock or local_lock (nfs(5)).
static const struct {
    const char *type, *option, *why;
} local[] = {
    {"lustre", "localflock", "is mounted with localflock: locks hold on one node alone"},
    {"nfs", "nolock", "is mounted with nolock: locks hold on one host alone"},
    {"nfs", "local_lock=all", "is mounted with local_lock=all: locks hold on one host alone"},
    {"nfs", "local_lock=flock", "is mounted with local_lock=flock: locks hold on one host alone"},
};

// Whether a folder is below the place where something is mounted.
static bool is_below(const char *folder, const char *place) {
    size_t size = strlen(place);
    if (size == 1) // the root
        return true;
    return !strncmp(folder, place, size) && (folder[size] == '/' || !folder[size]);
}

static const char *why_local(const struct mntent *mount) {
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (!strncmp(mount->mnt_type, local[i].type, strlen(local[i].type)) &&
            hasmntopt(mount, local[i].option))
            return local[i].why;
    return NULL;
}

// Of the mounts above the folder the one deepest down counts, of several there the last.
const char *tr_mount_keeps_locks(const char *table, const char *folder) {
    char path[PATH_MAX];
    FILE *mounts = realpath(folder, path) ? setmntent(table, "re") : NULL;
    const char *why = NULL;
    size_t deepest = 0;
    if (!mounts)
        return NULL;
    for (struct mntent *mount; (mount = getmntent(mounts));) {
        size_t depth = strlen(mount->mnt_dir);
        if (!is_below(path, mount->mnt_dir) || depth < deepest)
            continue;
        deepest = depth;
        why = why_local(mount);
    }
    endmntent(mounts);
    return why;
}
