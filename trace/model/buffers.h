// SPDX-License-Identifier: Apache-2.0
#ifndef TR_BUFFERS_H
#define TR_BUFFERS_H

#include "model/backend_status.h"
#include "model/forward.h"

// Memory as a table: what holds it, how much, and where.
enum tr_place { TR_ON_BACKEND, TR_ON_HOST, TR_FOR_COPIES }; // the last: on the host, overlapping
struct tr_buffer {
    void **memory_p;
    double bytes; // as double: counts of shapes that need not fit any machine; 0: not taken
    enum tr_place place;
};

struct tr_forward_bytes tr_buffers_bytes(const struct tr_buffer *buffers, int count);
// Takes the memory of all rows. On failure the caller still has to free what was taken.
enum tr_status tr_buffers_allocate(struct kn_backend *kn, const struct tr_buffer *buffers,
                                   int count, struct tr_err *err);
void tr_buffers_free(struct kn_backend *kn, const struct tr_buffer *buffers, int count);

#endif
