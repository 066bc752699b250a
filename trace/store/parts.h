// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PARTS_H
#define TR_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "store/store.h"

// The folder OUT.parts: committed one-checkpoint stores "<key>.h5", temporary files (names that
// begin with a dot), locks of the jobs that are at it (lock.h), and a mark while OUT is older than
// the parts and is to be replaced by them alone.

// OUT.parts for OUT, freed with free(). When OUT is a link: of the file that it points to.
enum tr_status tr_parts_path(char **path_p, const char *out_path, struct tr_err *err);

// Makes the folder of OUT when it is not there, durably; open to those who may read OUT.
enum tr_status tr_parts_create(const char *folder, const char *out_path, struct tr_err *err);

// The committed file of a checkpoint: its name, made harmless and short, and the name's digest.
enum tr_status tr_part_path(char **path_p, const char *folder, const char *name,
                            struct tr_err *err);

// A name in the folder that no other process, host or thread uses.
enum tr_status tr_part_temporary(char **path_p, const char *folder, struct tr_err *err);

// This host's name, made harmless.
enum { TR_HOST_MAX = 65 };
void tr_part_host(char out[TR_HOST_MAX]);

// The paths of all committed parts, sorted. No folder: none.
struct tr_part_list {
    char **paths; // [count]
    int64_t count;
    uint64_t capacity;
};
enum tr_status tr_parts_list(struct tr_part_list *list, const char *folder, struct tr_err *err);
// Of the notes of processes of a shard (deaths.h), and of what was counted of them; with index 0 of
// all. Their names begin with a prefix, the shard behind it as "1-of-8".
#define TR_NOTE_PREFIX ".at-"
#define TR_DEATHS_PREFIX ".died-"
enum tr_status tr_parts_list_notes(struct tr_part_list *list, const char *folder,
                                   struct tr_shard shard, struct tr_err *err);
enum tr_status tr_parts_list_deaths(struct tr_part_list *list, const char *folder,
                                    struct tr_err *err);
enum tr_status tr_parts_forget_deaths(const char *folder, struct tr_err *err); // removes both
// Of the files that stand for shards.
enum tr_status tr_parts_list_shards(struct tr_part_list *list, const char *folder,
                                    struct tr_err *err);
void tr_part_list_free(struct tr_part_list *list);

// Removes what interrupted jobs left under temporary names; with `committed` the parts too.
enum tr_status tr_parts_clean(const char *folder, bool committed, struct tr_err *err);

// The mark. It counts only while there are parts: without them OUT is all there is.
enum tr_status tr_parts_supersede(const char *folder, struct tr_err *err);
enum tr_status tr_parts_superseded(const char *folder, bool *superseded_p, struct tr_err *err);
enum tr_status tr_parts_unsupersede(const char *folder, struct tr_err *err);

#endif
