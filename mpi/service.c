// SPDX-License-Identifier: Apache-2.0
#include "service.h"

#include <stdio.h>

#include "base/clock.h"

static const double tick_seconds = 0.1;

void dist_host_init(struct dist_host *host, const struct dist_service *service) {
    host->service = *service;
    host->last_tick = tr_now();
    pthread_mutex_init(&host->lock, NULL);
}

void dist_host_destroy(struct dist_host *host) {
    pthread_mutex_destroy(&host->lock);
}

enum tr_status dist_host_answer(struct dist_host *host, int from, const void *request, size_t size,
                                void **answer_p, size_t *answer_size_p, struct tr_err *err) {
    void *answer = NULL;
    size_t answer_size = 0;
    struct tr_err reason = {.text = ""};
    pthread_mutex_lock(&host->lock);
    enum tr_status status = host->service.answer(host->service.user, from, request, size, &answer,
                                                 &answer_size, &reason);
    pthread_mutex_unlock(&host->lock);
    if (status != TR_OK)
        return tr_fail(err, status, "%s", reason.text[0] ? reason.text : tr_status_text(status));
    *answer_p = answer;
    *answer_size_p = answer_size;
    return TR_OK;
}

void dist_host_tick(struct dist_host *host) {
    pthread_mutex_lock(&host->lock);
    if (tr_now() - host->last_tick >= tick_seconds) {
        host->service.tick(host->service.user);
        host->last_tick = tr_now();
    }
    pthread_mutex_unlock(&host->lock);
}
