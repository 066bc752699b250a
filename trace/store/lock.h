// SPDX-License-Identifier: Apache-2.0
#ifndef TR_LOCK_H
#define TR_LOCK_H

#include <stdbool.h>

#include "base/status.h"
#include "store/store.h"

// Who is at OUT.parts. A job that has a series to itself locks the folder alone. Jobs that each
// take a shard of it lock it together, each its shard, and one at a time what is published. Locks
// go with the process, however that ends. They are flock(2)'s in files of the folder: .lock,
// .shard-I-of-N, .publishing.
struct tr_lock {
    int all, mine; // files, -1: not open
    struct tr_shard shard;
    char *mine_path;
    bool alone; // nobody else is at the folder
};

// Nothing is locked.
extern const struct tr_lock tr_lock_none;

// Makes the folder, and locks it for a whole series or a shard. TR_ECONFLICT, naming the holder,
// when another job has the series, this shard, or a shard of another number of them;
// TR_EUNSUPPORTED for a shard where the file system has no locks between hosts. A shard that finds
// itself alone may clean up until tr_lock_share, which lets others in.
enum tr_status tr_lock_take(struct tr_lock *lock, const char *folder, const char *out_path,
                            struct tr_shard shard, struct tr_err *err);
enum tr_status tr_lock_share(struct tr_lock *lock, const char *out_path, struct tr_err *err);
// Unlocks; the last one removes the folder and its mark when there are no parts, and no shard whose
// job died.
void tr_lock_release(struct tr_lock *lock, const char *folder);

// As tr_store_look_at_shards.
enum tr_status tr_lock_look(struct tr_shards_seen *seen, const char *folder, int64_t count,
                            struct tr_err *err);

// The right to publish, which shards have one after the other: waits for it for some minutes, then
// TR_EIO. A job that has the series to itself has it already: *fd_p < 0.
enum tr_status tr_lock_publishing(int *fd_p, const struct tr_lock *lock, const char *folder,
                                  const char *out_path, struct tr_err *err);
void tr_lock_published(int fd);
// Whether another job is publishing now.
bool tr_lock_is_publishing(const struct tr_lock *lock, const char *folder);

#endif
