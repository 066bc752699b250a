// SPDX-License-Identifier: Apache-2.0
#ifndef TR_WEIGHT_SOURCE_H
#define TR_WEIGHT_SOURCE_H

#include "base/status.h"
#include "kernels/ops.h"
#include "model/slab_reader.h"
#include "model/weights.h"

// Where a forward pass takes its weights from: slab after slab as they are read (streamed), or from
// memory that holds all of them (resident).

// A slab as the steps see it, in the backend's memory. Matrices of products have the activation
// type on a device. What a slab lacks is absent; TR_SLOT_NONE is absent in every slab.
struct tr_weights {
    const struct tr_slab_plan *plan;
    struct kn_matrix matrix[TR_SLOTS];
    const float *vector[TR_SLOTS];
    float xielu[4]; // parameters of KN_XIELU, on the host
};

struct tr_weight_source {
    void *user;
    const struct tr_weight_plan *plan; // the slabs to come, and the steps that use them
    // Gives slab `index`, ready for the steps; slabs are asked for in ascending order.
    enum tr_status (*next)(void *user, int64_t index, struct tr_weights *weights,
                           struct tr_err *err);
    // All steps of the slab given last have been queued.
    enum tr_status (*done)(void *user, struct tr_err *err);
    bool stays; // slabs are where they are in every pass
    // The pass is over, or has failed: waits until nothing reads the source's memory any more.
    void (*stop)(void *user);
};

// ---- streamed ----------------------------------------------------------------------------------

// On the host slabs are used where they were read. On a device two slabs of its memory take turns,
// so that one is copied while the other is used.
struct tr_streamed;

// `slab_bytes` and `converted_bytes` are the bytes of the largest slab, and of its matrices in the
// type that a device wants. More memory is taken when a slab is larger.
enum tr_status tr_streamed_new(struct tr_streamed **streamed_p, struct kn_backend *kn,
                               size_t slab_bytes, size_t converted_bytes, struct tr_err *err);
void tr_streamed_free(struct tr_streamed *streamed); // accepts NULL
// Bytes of the backend's memory that a streamed source takes.
double tr_streamed_bytes(const struct kn_backend *kn, size_t slab_bytes, size_t converted_bytes);

// The source of the checkpoint that `reader` has begun; for one pass, from its first slab on.
struct tr_weight_source tr_streamed_begin(struct tr_streamed *streamed,
                                          struct tr_slab_reader *reader);

// Seconds that the last pass's steps could not go on for lack of weights: those that were being
// read and, on a device, those that were being copied.
double tr_streamed_waited(const struct tr_streamed *streamed);

// ---- resident ----------------------------------------------------------------------------------

// All weights of a checkpoint in the backend's memory, for any number of passes.
struct tr_resident;

enum tr_status tr_resident_open(struct tr_resident **resident_p, struct kn_backend *kn,
                                const char *folder, const struct tr_wanted *wanted,
                                struct tr_err *err);
void tr_resident_close(struct tr_resident *resident); // accepts NULL
// Opens the headers only, and says what the weights would take of the backend's memory.
enum tr_status tr_resident_examine(struct tr_loaded *loaded, double *bytes_p,
                                   const struct kn_backend *kn, const char *folder,
                                   const struct tr_wanted *wanted, struct tr_err *err);
const struct tr_loaded *tr_resident_loaded(const struct tr_resident *resident);
struct tr_weight_source tr_resident_source(struct tr_resident *resident);
// Bytes of the backend's memory that they take.
double tr_resident_bytes(const struct tr_resident *resident);

// ---- held --------------------------------------------------------------------------------------

// A stretch of a checkpoint's slabs in memory, which may be changed there: what a pass then meets.
// Other slabs are read each time that they are asked for. Matrices of products are f32 on the host,
// whatever wanted->wide says.
struct tr_held;

enum tr_status tr_held_open(struct tr_held **held_p, struct kn_backend *kn, const char *folder,
                            const struct tr_wanted *wanted, struct tr_err *err);
void tr_held_close(struct tr_held *held); // accepts NULL
const struct tr_loaded *tr_held_loaded(const struct tr_held *held);
const struct tr_checkpoint *tr_held_checkpoint(const struct tr_held *held);
struct tr_weight_source tr_held_source(struct tr_held *held);

// Reads slabs [first, last) and forgets those that were held, with what was changed in them.
enum tr_status tr_held_take(struct tr_held *held, int64_t first, int64_t last, struct tr_err *err);

// What a slot of a held slab has, in the host's memory: f32 [rows, cols] of a product's matrix or
// of a vector. NULL where the slab has no such slot.
float *tr_held_slot(const struct tr_held *held, int64_t slab, enum tr_slot slot);

// Lets passes meet what was changed in a held slab.
enum tr_status tr_held_changed(struct tr_held *held, int64_t slab, struct tr_err *err);

#endif
