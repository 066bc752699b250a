// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PROGRESS_H
#define TR_PROGRESS_H

#include <stdio.h>

#include "run/job.h"
#include "run/protocol.h"

// What people see of a running job, in the messages of rank 0: a line that is rewritten on a
// terminal, a line every --progress seconds elsewhere, one line per failed checkpoint, a summary at
// the end.
struct tr_progress {
    const struct tr_job *job;
    FILE *stream; // the messages'
    bool terminal, line_shown;
    int64_t planned;                  // checkpoints
    double all_tokens;                // of all of them
    double blocks_done, blocks_whole; // of costs, as in struct tr_message
    double start, last_shown;
    double product_rate; // FLOP/s of the machine's sgemm, all ranks
    int64_t finished, failed;
    double seconds, bytes, flops, tokens, waited; // summed over items that are over
    double partial;                               // tokens of those under way
    double first_slab, last_commit;               // when; 0: not yet
};

// Prints text, made harmless (base/printable.h); where the stream is a terminal, in lines of at
// most its columns, never over 80.
void tr_say(FILE *stream, const char *text);

void tr_progress_start(struct tr_progress *progress, const struct tr_job *job);
// One more checkpoint to do, as in struct tr_assignment.
void tr_progress_plan(struct tr_progress *progress, bool traced);
void tr_progress_add(struct tr_progress *progress, const struct tr_message *message);
// A rank has its first slab of weights and begins to compute.
void tr_progress_begun(struct tr_progress *progress);
// Says that a checkpoint is over, if it failed or vanished or with -v; the latter with the seconds
// of all ranks.
void tr_progress_checkpoint(struct tr_progress *progress, const char *name,
                            const struct tr_message *message);
// Shows the progress line when it is due.
// Seconds that a rank has taken for a checkpoint so far, on average; 0 before the first is done.
double tr_progress_seconds(const struct tr_progress *progress);

void tr_progress_show(struct tr_progress *progress);
// Prints a remark as a line of its own, above the progress line.
void tr_progress_note(struct tr_progress *progress, const char *text);
void tr_progress_end(struct tr_progress *progress, int64_t finished, int64_t failed);

#endif
