// SPDX-License-Identifier: Apache-2.0
#ifndef DIST_SERVICE_H
#define DIST_SERVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "mpi/dist.h"

// What rank 0 does with a request once it is there; shared by both communicators, seen by nobody
// else. The lock keeps `answer` and `tick` apart.
struct dist_host {
    struct dist_service service;
    pthread_mutex_t lock;
    double last_tick; // tr_now()
};

void dist_host_init(struct dist_host *host, const struct dist_service *service);
void dist_host_destroy(struct dist_host *host);

// The service's answer to one request. A failure without a sentence gets its status's text.
enum tr_status dist_host_answer(struct dist_host *host, int from, const void *request, size_t size,
                                void **answer_p, size_t *answer_size_p, struct tr_err *err);

// Calls `tick` when 0.1 s have passed since the last.
void dist_host_tick(struct dist_host *host);

#endif
