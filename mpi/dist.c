// SPDX-License-Identifier: Apache-2.0
// The calls of dist.h, handed to the communicator that was opened.
#include "mpi/dist.h"

#include <stdlib.h>

#include "communicator.h"

void dist_close(struct dist *dist) {
    if (dist)
        dist->calls->close(dist);
}

_Noreturn void dist_abort(struct dist *dist, int exit_code) {
    dist->calls->abort(dist, exit_code);
    exit(exit_code);
}

int dist_rank(const struct dist *dist) {
    return dist->rank;
}

int dist_size(const struct dist *dist) {
    return dist->size;
}

int dist_node_rank(const struct dist *dist) {
    return dist->node_rank;
}

int dist_node_size(const struct dist *dist) {
    return dist->node_size;
}

int dist_node_of(const struct dist *dist, int rank) {
    return dist->node_of ? dist->node_of[rank] : 0;
}

int dist_node_count(const struct dist *dist) {
    int count = 1;
    for (int i = 0; i < dist->size; i++)
        count = dist_node_of(dist, i) >= count ? dist_node_of(dist, i) + 1 : count;
    return count;
}

enum tr_status dist_broadcast(struct dist *dist, void **bytes_p, size_t *size_p,
                              struct tr_err *err) {
    return dist->calls->broadcast(dist, bytes_p, size_p, err);
}

bool dist_all_ok(struct dist *dist, bool ok) {
    double failed = !ok;
    return dist->calls->maximum(dist, &failed, 1) == TR_OK && failed == 0.0;
}

void dist_max(struct dist *dist, double *values, int count) {
    if (dist->calls->maximum(dist, values, count) != TR_OK)
        dist_abort(dist, 3);
}

struct dist_alike dist_node_alike(struct dist *dist, const void *bytes, size_t size) {
    return dist->calls->node_alike(dist, bytes, size);
}

enum tr_status dist_serve_begin(struct dist *dist, const struct dist_service *service,
                                bool *computes_p, struct tr_err *err) {
    return dist->calls->serve_begin(dist, service, computes_p, err);
}

enum tr_status dist_request(struct dist *dist, const void *request, size_t size, void **answer_p,
                            size_t *answer_size_p, struct tr_err *err) {
    return dist->calls->request(dist, request, size, answer_p, answer_size_p, err);
}

void dist_serve_end(struct dist *dist) {
    dist->calls->serve_end(dist);
}
