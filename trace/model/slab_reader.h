// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SLAB_READER_H
#define TR_SLAB_READER_H

#include <stdbool.h>

#include "digest.h"
#include "status.h"
#include "weights.h"

// Reads checkpoints slab by slab on a thread of its own, one slab ahead of whoever computes: while
// slab s is used, slab s + 1 is read, and past a checkpoint's last slab the first ones of the next
// pushed checkpoint. Memory is two slabs. Digests are taken on the way.

struct tr_reader;

// What is known of a checkpoint once its headers are read.
struct tr_loaded {
    struct tr_config config;
    char identity[TR_DIGEST_MAX], config_digest[TR_DIGEST_MAX];
    int64_t slabs;
    size_t largest_slab; // bytes
    double bytes_read;   // from disk, all slabs
    double bytes_stored; // of the weight files
};

struct tr_slab {
    const struct tr_slab_plan *plan;
    char *memory; // plan->bytes
};

// Opens the headers of one checkpoint only and says what reading it would mean.
enum tr_status tr_loaded_examine(struct tr_loaded *loaded, const char *folder, bool head,
                                 struct tr_err *err);

enum tr_status tr_reader_open(struct tr_reader **reader_p, struct tr_err *err);

// Queues a checkpoint; reading starts as soon as memory is free. `head`: with the head's weights.
enum tr_status tr_reader_push(struct tr_reader *reader, const char *folder, bool head,
                              struct tr_err *err);

// Waits until the oldest pushed checkpoint is open. On failure that checkpoint is over: the next
// begin is for the next one.
enum tr_status tr_reader_begin(struct tr_reader *reader, struct tr_loaded *loaded,
                               struct tr_err *err);

// Waits for the next slab of the begun checkpoint; the one before is given back. *slab_p is NULL
// after the last.
enum tr_status tr_reader_next(struct tr_reader *reader, const struct tr_slab **slab_p,
                              struct tr_err *err);

// Ends the begun checkpoint, read to its end or not. The digest of the weights is "" unless all
// slabs were taken: XXH3-128 over the name-sorted (name, type, shape, digest of the bytes) of the
// tensors used.
void tr_reader_end(struct tr_reader *reader, char weights_digest[TR_DIGEST_MAX]);

// Seconds that tr_reader_begin and tr_reader_next have waited so far: the share of the disk.
double tr_reader_waited(const struct tr_reader *reader);

void tr_reader_close(struct tr_reader *reader); // accepts NULL

// A slot of a slab as a matrix (rows == 0: absent) and as a vector (NULL: absent), in the memory
// that starts at `memory`. TR_SLOTS is a vector that no slab has.
struct kn_matrix tr_slab_matrix(const struct tr_slab_plan *plan, char *memory, enum tr_slot slot);
const float *tr_slab_vector(const struct tr_slab_plan *plan, char *memory, enum tr_slot slot);

#endif
