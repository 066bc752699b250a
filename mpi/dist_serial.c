// SPDX-License-Identifier: Apache-2.0
// One process without MPI: rank 0 of 1, every request is answered in place.
#include "mpi/dist.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "service.h"

struct dist {
    struct dist_host host; // between dist_serve_begin and dist_serve_end
};

enum tr_status dist_open(struct dist **dist_p, struct tr_err *err) {
    return TR_NEW(dist_p, 1, "communicator", err);
}

void dist_close(struct dist *dist) {
    free(dist);
}

_Noreturn void dist_abort(struct dist *dist, int exit_code) {
    (void)dist;
    exit(exit_code);
}

int dist_rank(const struct dist *dist) {
    (void)dist;
    return 0;
}

int dist_size(const struct dist *dist) {
    (void)dist;
    return 1;
}

int dist_node_rank(const struct dist *dist) {
    (void)dist;
    return 0;
}

int dist_node_size(const struct dist *dist) {
    (void)dist;
    return 1;
}

enum tr_status dist_broadcast(struct dist *dist, void **bytes_p, size_t *size_p,
                              struct tr_err *err) {
    (void)dist;
    (void)bytes_p;
    (void)size_p;
    (void)err;
    return TR_OK;
}

bool dist_all_ok(struct dist *dist, bool ok) {
    (void)dist;
    return ok;
}

void dist_max(struct dist *dist, double *values, int count) {
    (void)dist;
    (void)values;
    (void)count;
}

struct dist_alike dist_node_alike(struct dist *dist, const void *bytes, size_t size) {
    (void)dist;
    (void)bytes;
    (void)size;
    return (struct dist_alike){.place = 0, .count = 1};
}

enum tr_status dist_serve_begin(struct dist *dist, const struct dist_service *service,
                                bool *computes_p, struct tr_err *err) {
    (void)err;
    dist_host_init(&dist->host, service);
    *computes_p = true;
    return TR_OK;
}

enum tr_status dist_request(struct dist *dist, const void *request, size_t size, void **answer_p,
                            size_t *answer_size_p, struct tr_err *err) {
    enum tr_status status =
        dist_host_answer(&dist->host, 0, request, size, answer_p, answer_size_p, err);
    dist_host_tick(&dist->host);
    return status;
}

void dist_serve_end(struct dist *dist) {
    dist_host_destroy(&dist->host);
}
