// SPDX-License-Identifier: Apache-2.0
#ifndef DIST_DIST_H
#define DIST_DIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// The ranks of one job and how they talk: one header, two communicators (dist_mpi.c, the only file
// that sees mpi.h, and dist_alone.c), chosen when it is opened. Everything a job needs from its
// communicator is a request to rank 0 and an answer, a broadcast at the start, and an agreement at
// the end, so that is all there is.

struct dist;

// Collective. Starts MPI where the program was built with it and a launcher started it
// (launcher.h); the communicator is then a private copy of the world. Started by hand it is alone.
// Built without MPI: TR_ENVIRONMENT where a launcher started several processes, with a sentence on
// the first of them alone.
enum tr_status dist_open(struct dist **dist_p, struct tr_err *err);

// Collective. Ends MPI. Accepts NULL.
void dist_close(struct dist *dist);

// Not collective. Ends all ranks of the job with this exit code; does not return.
_Noreturn void dist_abort(struct dist *dist, int exit_code);

int dist_rank(const struct dist *dist);
int dist_size(const struct dist *dist);
int dist_node_rank(const struct dist *dist); // among the ranks of this node
int dist_node_size(const struct dist *dist);
// The node that a rank is on, of all ranks: from 0 on, in the order of their first ranks.
int dist_node_of(const struct dist *dist, int rank);
int dist_node_count(const struct dist *dist);

// Collective. Rank 0's bytes to everyone: *bytes_p is allocated on the other ranks (free()).
enum tr_status dist_broadcast(struct dist *dist, void **bytes_p, size_t *size_p,
                              struct tr_err *err);

// Collective. Whether `ok` holds on every rank.
bool dist_all_ok(struct dist *dist, bool ok);

// Collective. Each value's maximum over the ranks, in place, the same on every rank. Ends the job
// when the ranks can no longer talk.
void dist_max(struct dist *dist, double *values, int count);

// Collective. The ranks of this node that gave the same bytes as this one, which is counted:
// how many, and this one's place among them in rank order. `size` is the same on all ranks. Ends
// the job when the ranks can no longer talk.
struct dist_alike {
    int place, count;
};
struct dist_alike dist_node_alike(struct dist *dist, const void *bytes, size_t size);

// ---- requests to rank 0 ----------------------------------------------------------------------

// Answers one request on rank 0: reads request[0, size) from rank `from` and appends the answer.
// Never called concurrently with itself or with `tick`. `tick` is called about ten times a second
// between requests (publishing, progress, signals); where rank 0 has no thread for it (one rank of
// an MPI without MPI_THREAD_MULTIPLE), only after an answer, when 0.1 s have passed.
struct dist_service {
    void *user;
    enum tr_status (*answer)(void *user, int from, const void *request, size_t size,
                             void **answer_p, size_t *answer_size_p, struct tr_err *err);
    void (*tick)(void *user);
};

// Collective; `service` is used on rank 0 only and must live until dist_serve_end. Rank 0 answers
// from a thread of its own when MPI offers MPI_THREAD_MULTIPLE, so that it computes too; a process
// alone answers in place. *computes_p: false on rank 0 when it can only serve (the caller then
// skips its share of the work and calls dist_serve_end at once, which serves until all are done).
enum tr_status dist_serve_begin(struct dist *dist, const struct dist_service *service,
                                bool *computes_p, struct tr_err *err);

// Not collective; between begin and end; also on rank 0, also from another thread than the one that
// called dist_serve_begin, but from one thread at a time. Sends a request and waits for the answer
// (malloc'ed, NULL when empty). A failure of `answer` comes back as its status and sentence.
enum tr_status dist_request(struct dist *dist, const void *request, size_t size, void **answer_p,
                            size_t *answer_size_p, struct tr_err *err);

// Collective. Waits until every rank is here, without burning a core, then ends the service.
void dist_serve_end(struct dist *dist);

#endif
