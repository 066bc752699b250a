// SPDX-License-Identifier: Apache-2.0
#include "export/follow.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "store/parts.h"

// Tells which file a name stands for and in which state it is.
struct identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
};

static struct identity identify(const char *path) {
    struct stat info;
    if (stat(path, &info))
        return (struct identity){0};
    return (struct identity){info.st_dev, info.st_ino, info.st_size, info.st_mtim};
}

static bool is_same(const struct identity *a, const struct identity *b) {
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec;
}

static enum tr_status export_once(const struct nx_options *options,
                                  const struct nx_follower *follower, struct tr_err *err) {
    struct tr_string notes = {0};
    char *path = NULL;
    enum tr_status status = nx_export(options, &notes, &path, err);
    if (status == TR_OK)
        follower->tell(notes.data, path);
    tr_string_free(&notes);
    free(path);
    return status;
}

// Whether a failure may go away when the run publishes again.
static bool may_pass(enum tr_status status) {
    return status == TR_EFORMAT || status == TR_EIO;
}

static enum tr_status follow_run(struct nx_options *options, const char *parts,
                                 const struct nx_follower *follower, struct tr_err *err) {
    struct identity seen = {0};
    for (;;) {
        // The folder is looked for first: what is published before it goes is still seen then.
        bool running = tr_file_exists(parts);
        struct identity now = identify(options->store);
        if (!is_same(&now, &seen) || !(running || now.inode)) {
            enum tr_status status = export_once(options, follower, err);
            if (status != TR_OK && !(running && may_pass(status)))
                return status;
            options->force |= status == TR_OK; // from now on it is our own output
            seen = now;
        }
        if (!running || *follower->stop)
            return TR_OK;
        tr_sleep(follower->period);
        if (*follower->stop)
            return TR_OK;
    }
}

enum tr_status nx_follow(const struct nx_options *options, const struct nx_follower *follower,
                         struct tr_err *err) {
    struct nx_options own = *options;
    char *parts;
    TR_TRY(tr_parts_path(&parts, options->store, err));
    enum tr_status status = follow_run(&own, parts, follower, err);
    free(parts);
    return status;
}
