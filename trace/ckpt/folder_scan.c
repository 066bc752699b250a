// SPDX-License-Identifier: Apache-2.0
#include "folder_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"

static int compare(const void *a, const void *b) {
    return tr_natural_compare(*(char *const *)a, *(char *const *)b);
}

static enum tr_status add(struct tr_names *names, const char *name, struct tr_err *err) {
    TR_TRY(tr_grow((void **)&names->names, &names->capacity, (uint64_t)names->count + 1,
                   sizeof *names->names, "the names in a folder", err));
    TR_TRY(tr_strdup(&names->names[names->count], name, err));
    names->count++;
    return TR_OK;
}

enum tr_status tr_names_list(struct tr_names *names, const char *folder, const char *pattern,
                             struct tr_err *err) {
    struct tr_names found = {0};
    DIR *entries = opendir(folder);
    enum tr_status status = TR_OK;
    if (!entries)
        return tr_fail(err, TR_EIO, "cannot open the folder %s: %s", folder, strerror(errno));
    for (struct dirent *entry; status == TR_OK && (entry = readdir(entries));)
        if (!fnmatch(pattern, entry->d_name, FNM_PERIOD))
            status = add(&found, entry->d_name, err);
    closedir(entries);
    if (found.count)
        qsort(found.names, (size_t)found.count, sizeof *found.names, compare);
    if (status == TR_OK)
        *names = found;
    else
        tr_names_free(&found);
    return status;
}

void tr_names_free(struct tr_names *names) {
    for (int64_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct tr_names){0};
}
