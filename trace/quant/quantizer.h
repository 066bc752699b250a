// SPDX-License-Identifier: Apache-2.0
#ifndef TR_QUANTIZER_H
#define TR_QUANTIZER_H

#include "model/forward.h"
#include "part_commit.h"
#include "quant/quantize.h"
#include "run/job.h"

// A job of tr_quantize under way, on one rank. Private to this folder.
struct tr_quantizer {
    const struct tr_quant_settings *settings;
    struct kn_grid grid;
    struct tr_job job;
    struct dist *dist;
    int rank, ranks, threads;
    struct kn_backend *kn;
    struct tr_held *held;
    const struct tr_weight_plan *plan;
    struct tr_forward *forward;
    // Micro-batches of the calibration: those of this rank are rank, rank + ranks, ...
    int64_t sequences, micro_batch, batches;
    struct tr_streams **streams; // [own_batches]
    int64_t own_batches;
    char *parts; // the folder of blocks that are done
    char identity[TR_DIGEST_MAX];
    struct tr_part_commit commit; // of the block before, rank 0's
    bool stopped;
};

// ---- passes.c ----------------------------------------------------------------------------------

// Whether the text has to go through the model at all: weights that are rounded by themselves need
// none.
bool tr_quantizer_runs(const struct tr_quantizer *q);

enum tr_status tr_quantizer_make_streams(struct tr_quantizer *q, struct tr_err *err);
void tr_quantizer_free_streams(struct tr_quantizer *q);

// Steps [first, last) of own micro-batch `index`. `product` as in struct tr_taps, or NULL.
typedef enum tr_status (*tr_product_watch)(void *user, struct kn_backend *kn,
                                           const struct tr_product_tap *tap, struct tr_err *err);
enum tr_status tr_quantizer_run_batch(struct tr_quantizer *q, int64_t index, int64_t first,
                                      int64_t last, tr_product_watch product, void *user,
                                      struct tr_err *err);
// Of all of them.
enum tr_status tr_quantizer_run(struct tr_quantizer *q, int64_t first, int64_t last,
                                struct tr_err *err);

// ---- block.c -----------------------------------------------------------------------------------

// Puts the weights of a layer into few bits, adds them to *part, and lets the text go through what
// they became. Collective.
enum tr_status tr_quantize_block(struct tr_quantizer *q, int layer, struct tr_part *part,
                                 struct tr_err *err);

// Rounds the weights of a layer, each by itself, in the held slabs; of a quantizer whose method is
// TR_QUANT_NEAREST. *end_p: the step behind the layer, -1 where nothing is left of it.
enum tr_status tr_round_block(struct tr_quantizer *q, int layer, int64_t *end_p,
                              struct tr_err *err);

// Lets the text go through the layer as an earlier job left it.
enum tr_status tr_replay_block(struct tr_quantizer *q, int layer, const struct tr_part *part,
                               struct tr_err *err);

// Whether a tensor that a placement takes is put into few bits.
bool tr_quantizer_takes(const struct tr_quantizer *q, const struct tr_slab_plan *slab,
                        const struct tr_placement *placement);

// ---- packing.c ---------------------------------------------------------------------------------

// Refuses a weight that the layout cannot hold, by name, before anything is computed.
enum tr_status tr_quantizer_check(const struct tr_quantizer *q, struct tr_err *err);

// Rank 0: the folder, of the parts.
enum tr_status tr_quantizer_write(const struct tr_quantizer *q, struct tr_string *told,
                                  struct tr_err *err);

// The path of a block's part, freed with free().
enum tr_status tr_quantizer_part_path(const struct tr_quantizer *q, int layer, char **path_p,
                                      struct tr_err *err);

#endif
