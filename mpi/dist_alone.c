// SPDX-License-Identifier: Apache-2.0
// One process: rank 0 of 1. Requests are answered in place; a thread ticks while it computes.
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "communicator.h"

static const double nap = 20e-3; // seconds; the service counts the time between two ticks itself

struct alone {
    struct dist dist; // first
    pthread_t ticker;
    atomic_bool stop;
};

static void *tick(void *argument) {
    struct alone *alone = argument;
    while (!atomic_load(&alone->stop)) {
        dist_host_tick(&alone->dist.host);
        tr_sleep(nap);
    }
    return NULL;
}

static void close_alone(struct dist *dist) {
    free(dist);
}

static void abort_alone(struct dist *dist, int exit_code) {
    (void)dist;
    fflush(NULL);
    _exit(exit_code); // other threads are at work, and handlers would meet them
}

// What rank 0 broadcasts is where it is to be.
static enum tr_status broadcast(struct dist *dist, void **bytes_p, size_t *size_p,
                                struct tr_err *err) {
    (void)dist;
    (void)bytes_p;
    (void)size_p;
    (void)err;
    return TR_OK;
}

static enum tr_status maximum(struct dist *dist, double *values, int count) {
    (void)dist;
    (void)values;
    (void)count;
    return TR_OK;
}

static struct dist_alike node_alike(struct dist *dist, const void *bytes, size_t size) {
    (void)dist;
    (void)bytes;
    (void)size;
    return (struct dist_alike){.place = 0, .count = 1};
}

static enum tr_status serve_begin(struct dist *dist, const struct dist_service *service,
                                  bool *computes_p, struct tr_err *err) {
    struct alone *alone = (struct alone *)dist;
    dist_host_init(&dist->host, service);
    atomic_store(&alone->stop, false);
    *computes_p = true;
    if (pthread_create(&alone->ticker, NULL, tick, alone) == 0)
        return TR_OK;
    dist_host_destroy(&dist->host);
    return tr_fail(err, TR_ENVIRONMENT, "cannot start the thread that watches over the job");
}

static enum tr_status request_in_place(struct dist *dist, const void *request, size_t size,
                                       void **answer_p, size_t *answer_size_p, struct tr_err *err) {
    return dist_host_answer(&dist->host, 0, request, size, answer_p, answer_size_p, err);
}

static void serve_end(struct dist *dist) {
    struct alone *alone = (struct alone *)dist;
    atomic_store(&alone->stop, true);
    pthread_join(alone->ticker, NULL);
    dist_host_destroy(&dist->host);
}

static const struct dist_calls alone_calls = {
    .close = close_alone,
    .abort = abort_alone,
    .broadcast = broadcast,
    .maximum = maximum,
    .node_alike = node_alike,
    .serve_begin = serve_begin,
    .request = request_in_place,
    .serve_end = serve_end,
};

enum tr_status dist_open_alone(struct dist **dist_p, struct tr_err *err) {
    struct alone *alone;
    TR_TRY(TR_NEW(&alone, 1, "communicator", err));
    alone->dist = (struct dist){.calls = &alone_calls, .size = 1, .node_size = 1};
    *dist_p = &alone->dist;
    return TR_OK;
}
