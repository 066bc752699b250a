// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SLAB_READER_H
#define TR_SLAB_READER_H

#include <stdbool.h>

#include "base/digest.h"
#include "base/status.h"
#include "kernels/backend.h"
#include "kernels/ops.h"
#include "model/weights.h"

// Reads checkpoints slab by slab on a thread of its own, ahead of whoever computes: while slab s is
// used, slab s + 1 is read, and past a checkpoint's last slab the first ones of the next pushed
// checkpoint. Memory is a ring of slabs: two, or three to ten in memory that a device can copy
// from, where one may be under way to it. That ring gets shorter, down to three, when there is no
// more such memory, or when a checkpoint has larger slabs than those before. Digests are taken on
// the way.

struct tr_slab_reader;

// What is known of a checkpoint once its headers are read.
struct tr_loaded {
    struct tr_config config;
    char identity[TR_DIGEST_MAX], config_digest[TR_DIGEST_MAX];
    int64_t slabs;
    size_t largest_slab;  // bytes
    size_t converted[3];  // as in struct tr_weight_plan
    enum kn_type weights; // the type that the first block's matrices have in memory
    double bytes_read;    // from disk, all slabs
    double bytes_stored;  // of the weight files
};

struct tr_slab {
    const struct tr_slab_plan *plan;
    char *memory; // plan->bytes
};

// Opens the headers of one checkpoint only and says what reading it would mean.
enum tr_status tr_loaded_examine(struct tr_loaded *loaded, const char *folder,
                                 const struct tr_wanted *wanted, struct tr_err *err);

// What the folder and config.json alone tell: the config, and which of several files of weights is
// read (tr_checkpoint_choice). `config`: as in struct tr_wanted.
struct tr_glance {
    struct tr_config config;
    char choice[160];
};
enum tr_status tr_glance_at(struct tr_glance *glance, const char *folder, const char *config,
                            struct tr_err *err);

// `kn`, borrowed until the reader is closed, gives the ring's memory where it has a device; NULL:
// the slabs are for the host. `largest`: bytes of the largest slab to come, as far as is known.
// `slabs`: of the ring, between the two bounds below; 0: the lower one.
enum tr_status tr_slab_reader_open(struct tr_slab_reader **reader_p, struct kn_backend *kn,
                                   size_t largest, int64_t slabs, struct tr_err *err);

// The most slabs that the ring of such a reader can make use of, and the fewest that it works with.
int64_t tr_slab_reader_most(const struct kn_backend *kn, size_t largest);
int64_t tr_slab_reader_least(const struct kn_backend *kn);

// Slabs that the ring holds now.
int64_t tr_slab_reader_slabs(struct tr_slab_reader *reader);

// Queues a checkpoint; reading starts as soon as memory is free. What wanted->drop points to is
// borrowed until the checkpoint is ended.
enum tr_status tr_slab_reader_push(struct tr_slab_reader *reader, const char *folder,
                                   const struct tr_wanted *wanted, struct tr_err *err);

// Waits until the oldest pushed checkpoint is open. On failure that checkpoint is over: the next
// begin is for the next one.
enum tr_status tr_slab_reader_begin(struct tr_slab_reader *reader, struct tr_loaded *loaded,
                                    struct tr_err *err);

// The slabs and steps of the begun checkpoint, until tr_slab_reader_end.
const struct tr_weight_plan *tr_slab_reader_plan(struct tr_slab_reader *reader);

// Waits for the next slab of the begun checkpoint, which stays the caller's until it is released;
// at most the ring less one may be held. *slab_p is NULL after the last. Its plan lives until
// tr_slab_reader_end.
enum tr_status tr_slab_reader_next(struct tr_slab_reader *reader, const struct tr_slab **slab_p,
                                   struct tr_err *err);

// Whether tr_slab_reader_next would return at once.
bool tr_slab_reader_ready(struct tr_slab_reader *reader);

// Gives back the memory of the slab that has been held longest.
void tr_slab_reader_release(struct tr_slab_reader *reader);

// Ends the begun checkpoint, read to its end or not; what is held is given back. The digest of the
// weights is "" unless all slabs were taken: XXH3-128 over the name-sorted (name, type, shape,
// digest of the bytes) of the tensors used.
void tr_slab_reader_end(struct tr_slab_reader *reader, char weights_digest[TR_DIGEST_MAX]);

// Seconds that tr_slab_reader_begin and tr_slab_reader_next have waited so far. A device may have
// worked meanwhile.
double tr_slab_reader_waited(const struct tr_slab_reader *reader);

void tr_slab_reader_close(struct tr_slab_reader *reader); // accepts NULL

#endif
