// SPDX-License-Identifier: Apache-2.0
#include "assembly.h"

#include <stdio.h>
#include <string.h>

#include "passes.h"
#include "results.h"

void tr_assembly_free(struct tr_assembly *a) {
    tr_measured_free(&a->measured);
    *a = (struct tr_assembly){0};
}

// The first piece brings what all have in common; the others add the time they took.
static enum tr_status add_message(struct tr_assembly *a, const struct tr_layout *layout,
                                  bool traced, const struct tr_message *message,
                                  struct tr_err *err) {
    if (!a->started) {
        if (traced)
            TR_TRY(tr_measured_new_additions(&a->measured, layout, err));
        else
            TR_TRY(tr_measured_new(&a->measured, layout, 0, layout->sequences, err));
        a->message = *message;
        a->started = true;
        return TR_OK;
    }
    a->message.seconds += message->seconds;
    a->message.waited += message->waited;
    if (strcmp(a->message.weights_digest, message->weights_digest) && !*a->message.text)
        snprintf(a->message.text, sizeof a->message.text,
                 "two ranks read different weights: digests %s and %s", a->message.weights_digest,
                 message->weights_digest);
    return TR_OK;
}

enum tr_status tr_assembly_take(struct tr_assembly *a, const struct tr_job *job, bool traced,
                                const struct tr_message *message, const void *bytes, size_t size,
                                struct tr_err *err) {
    const struct tr_layout *layout = &job->info.layout;
    int64_t begin, end;
    tr_item_sequences(job, &message->item, &begin, &end);
    if (message->kind == TR_MSG_FAILED)
        a->message = *message;
    if (a->message.kind == TR_MSG_FAILED)
        return TR_OK;
    TR_TRY(add_message(a, layout, traced, message, err));
    return tr_measured_join(&a->measured, layout, begin, end, bytes, size, err);
}

enum tr_status tr_assembly_commit(struct tr_assembly *a, const struct tr_job *job,
                                  const struct tr_series_entry *entry, bool traced,
                                  const struct dist_item *item, const char *backend,
                                  struct tr_err *err) {
    a->message.item = *item;
    if (*a->message.text && a->message.status == TR_OK)
        a->message.status = TR_EIO;
    enum tr_status status =
        tr_results_commit(&a->measured, job, entry, traced, &a->message, backend, err);
    tr_measured_free(&a->measured);
    return status;
}
