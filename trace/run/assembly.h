// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ASSEMBLY_H
#define TR_ASSEMBLY_H

#include "measure/measures.h"
#include "run/job.h"
#include "run/protocol.h"

// One checkpoint that was split, put together from its pieces as they come in, in any order. Zeros
// are one without pieces.
struct tr_assembly {
    struct tr_measured measured; // of all sequences; nothing before the first piece
    bool started;
    struct tr_message message; // as of a rank that did the whole checkpoint
};

// Takes the message of a piece, TR_MSG_PIECE or TR_MSG_FAILED, with what was measured as bytes. A
// piece that failed fails the checkpoint, and so do ranks that read different weights; what comes
// later is left out then. `traced`: as in struct tr_assignment.
enum tr_status tr_assembly_take(struct tr_assembly *assembly, const struct tr_job *job, bool traced,
                                const struct tr_message *message, const void *bytes, size_t size,
                                struct tr_err *err);

// After the last piece, whose item is given: commits the row, which uses up what was measured.
enum tr_status tr_assembly_commit(struct tr_assembly *assembly, const struct tr_job *job,
                                  const struct tr_series_entry *entry, bool traced,
                                  const struct dist_item *item, const char *backend,
                                  struct tr_err *err);

void tr_assembly_free(struct tr_assembly *assembly); // leaves zeros

#endif
