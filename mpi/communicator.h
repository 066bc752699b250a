// SPDX-License-Identifier: Apache-2.0
#ifndef DIST_COMMUNICATOR_H
#define DIST_COMMUNICATOR_H

#include "mpi/dist.h"
#include "service.h"

// What is behind dist.h: a table of calls, chosen once when the communicator is opened. Each call
// is the one of dist.h that has its name; nobody but this room sees any of it.
struct dist_calls {
    void (*close)(struct dist *dist);
    void (*abort)(struct dist *dist, int exit_code);
    enum tr_status (*broadcast)(struct dist *dist, void **bytes_p, size_t *size_p,
                                struct tr_err *err);
    enum tr_status (*maximum)(struct dist *dist, double *values, int count);
    struct dist_alike (*node_alike)(struct dist *dist, const void *bytes, size_t size);
    enum tr_status (*serve_begin)(struct dist *dist, const struct dist_service *service,
                                  bool *computes_p, struct tr_err *err);
    enum tr_status (*request)(struct dist *dist, const void *request, size_t size, void **answer_p,
                              size_t *answer_size_p, struct tr_err *err);
    void (*serve_end)(struct dist *dist);
};

// The beginning of every communicator's own struct.
struct dist {
    const struct dist_calls *calls;
    int rank, size, node_rank, node_size;
    int *node_of;          // [size]; NULL: all are on one node
    struct dist_host host; // on rank 0, between dist_serve_begin and dist_serve_end
};

// One process that talks to nobody. dist_close() ends it.
enum tr_status dist_open_alone(struct dist **dist_p, struct tr_err *err);

// All processes that the launcher of an MPI started; collective. Only in builds with MPI.
enum tr_status dist_open_mpi(struct dist **dist_p, struct tr_err *err);

#endif
