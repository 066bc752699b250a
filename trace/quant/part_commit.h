// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PART_COMMIT_H
#define TR_PART_COMMIT_H

#include <pthread.h>

#include "part.h"

// A block's part that is written by a thread of its own while the next block is worked on. Zero:
// nothing is under way. Private to this folder.
struct tr_part_commit {
    pthread_t thread;
    bool under_way;
    struct tr_part part;
    char *path;
    char identity[TR_DIGEST_MAX];
    int layer;
    double seconds; // that the block took
    enum tr_status status;
    struct tr_err err;
};

// Takes the part over, whatever is returned. Nothing is under way before.
enum tr_status tr_part_commit_begin(struct tr_part_commit *commit, struct tr_part *part,
                                    const char *path, const char *identity, struct tr_err *err);
// Waits until the part is written; what it was can be looked at until it is freed.
enum tr_status tr_part_commit_wait(struct tr_part_commit *commit, struct tr_err *err);
void tr_part_commit_free(struct tr_part_commit *commit); // waits, too

#endif
