// SPDX-License-Identifier: Apache-2.0
#include "run/coordinator.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "coordinator_state.h"
#include "mpi/launcher.h"
#include "run/affinity.h"
#include "run/assignment.h"
#include "run/snapshot.h"
#include "run/worker.h"

enum { PUBLISH_SHARE = 50 }; // publishing costs at most 1/50 of the run

enum tr_status tr_coordinator_new(struct tr_coordinator **coordinator_p, const struct tr_job *job,
                                  struct tr_store *store, int ranks, const char *backend,
                                  struct tr_err *err) {
    struct tr_coordinator *c;
    TR_TRY(TR_NEW(&c, 1, "the coordinator", err));
    *c = (struct tr_coordinator){
        .job = job, .store = store, .backend = backend, .ranks = ranks, .highest_step = -1};
    c->last_publish = c->last_over = tr_now();
    tr_progress_start(&c->progress, job);
    enum tr_status status = tr_arrivals_begin(c, err);
    if (status == TR_OK)
        status = TR_NEW(&c->hellos, ranks, "the ranks", err);
    if (status == TR_OK)
        status = TR_NEW(&c->partial, ranks, "the ranks", err);
    if (status == TR_OK)
        status =
            tr_limits_new(&c->limits, job->settings, dist_seconds_left(), ranks, tr_now(), err);
    if (status != TR_OK) {
        tr_coordinator_free(c);
        return status;
    }
    *coordinator_p = c;
    return TR_OK;
}

enum tr_status tr_coordinator_place(struct tr_coordinator *c, const int *node_of,
                                    struct tr_err *err) {
    return dist_work_place(c->work, node_of, err);
}

void tr_coordinator_on_end(struct tr_coordinator *c, void (*end)(void *user, bool stopped),
                           void *user) {
    c->end = end;
    c->end_user = user;
}

void tr_coordinator_free(struct tr_coordinator *c) {
    if (!c)
        return;
    tr_arrivals_free(c);
    free(c->hellos);
    free(c->partial);
    tr_limits_free(&c->limits);
    dist_work_free(c->work);
    free(c);
}

void tr_coordinator_fail(struct tr_coordinator *c, const struct tr_err *err) {
    if (c->fatal.code == TR_OK)
        c->fatal = *err;
    dist_work_stop(c->work);
}

static void checkpoint_over(struct tr_coordinator *c, const struct tr_message *message) {
    struct task *task = &c->tasks[message->item.task];
    task->over = true;
    task->failed = message->status != TR_OK && !message->vanished;
    c->vanished += message->vanished;
    c->finished++;
    c->failed += task->failed;
    c->dirty = true;
    c->last_over = tr_now();
    if (c->job->follow)
        tr_snapshot_release(task->entry.path, c->job->settings);
    tr_progress_checkpoint(&c->progress, task->entry.name, message);
}

// ---- results -----------------------------------------------------------------------------------

static enum tr_status take_piece(struct tr_coordinator *c, const struct tr_message *message,
                                 const void *bytes, size_t size, struct tr_err *err) {
    struct task *task = &c->tasks[message->item.task];
    enum dist_done done = dist_work_done(c->work, &message->item);
    if (done == DIST_LATE) // another rank has brought the same
        return TR_OK;
    TR_TRY(tr_assembly_take(&task->assembly, c->job, task->traced, message, bytes, size, err));
    tr_progress_add(&c->progress, message);
    if (done != DIST_TASK)
        return TR_OK;
    TR_TRY(tr_assembly_commit(&task->assembly, c->job, &task->entry, task->traced, &message->item,
                              c->backend, err));
    checkpoint_over(c, &task->assembly.message);
    return TR_OK;
}

// Rows are committed under the checkpoint's name, so a second result of the same checkpoint changes
// nothing.
static void take_whole(struct tr_coordinator *c, const struct tr_message *message) {
    if (dist_work_done(c->work, &message->item) == DIST_LATE)
        return;
    tr_progress_add(&c->progress, message);
    checkpoint_over(c, message);
}

// ---- messages ----------------------------------------------------------------------------------

static int by_place(const void *a, const void *b) {
    const struct tr_hello *left = a, *right = b;
    int order = strcmp(left->host, right->host);
    return order ? order : strcmp(left->device, right->device);
}

static void note_node(struct tr_coordinator *c, const struct tr_hello *hellos, int count) {
    char text[1024];
    tr_affinity_advice(hellos, count, text, sizeof text);
    if (*text)
        tr_progress_note(&c->progress, text);
    tr_affinity_devices(hellos, count, text, sizeof text);
    if (*text && c->job->settings->verbose)
        tr_progress_note(&c->progress, text);
}

// When all ranks have said where they run, each node gets its advice once and the machine's rate is
// known.
static void take_hello(struct tr_coordinator *c, const void *bytes) {
    memcpy(&c->hellos[c->hello_count++], bytes, sizeof *c->hellos);
    if (c->hello_count < c->ranks)
        return;
    qsort(c->hellos, (size_t)c->ranks, sizeof *c->hellos, by_place);
    for (int i = 0, first = 0; i < c->ranks; i++) {
        c->progress.product_rate += c->hellos[i].product_rate;
        if (i + 1 < c->ranks && strcmp(c->hellos[i].host, c->hellos[i + 1].host) == 0)
            continue;
        note_node(c, c->hellos + first, i + 1 - first);
        first = i + 1;
    }
}

static enum tr_status answer_next(struct tr_coordinator *c, int from, void **answer_p,
                                  size_t *size_p, struct tr_err *err) {
    tr_endings_heed_stop(c);
    tr_arrivals_heed(c);
    struct dist_item item;
    struct tr_string bytes = {0};
    enum dist_next next = dist_work_next(c->work, from, tr_now(), &item);
    const struct task *task = next == DIST_ITEM ? &c->tasks[item.task] : NULL;
    TR_TRY(tr_assignment_write(&bytes, next, &item, task ? &task->entry : NULL,
                               task && task->traced, task && task->suspect, err));
    *answer_p = bytes.data;
    *size_p = bytes.size;
    return TR_OK;
}

static void set_partial(struct tr_coordinator *c, int rank, double tokens) {
    c->partial[rank] = tokens;
    c->progress.partial = 0;
    for (int i = 0; i < c->ranks; i++)
        c->progress.partial += c->partial[i];
}

static enum tr_status take_message(struct tr_coordinator *c, int from,
                                   const struct tr_message *message, const void *payload,
                                   size_t size, struct tr_err *err) {
    struct tr_err fatal = {.code = message->status};
    set_partial(c, from, message->kind == TR_MSG_PROGRESS ? message->tokens : 0);
    switch (message->kind) {
    case TR_MSG_PROGRESS: // the first is sent with the first slab
        tr_progress_begun(&c->progress);
        return TR_OK;
    case TR_MSG_HELLO:
        take_hello(c, payload);
        return TR_OK;
    case TR_MSG_WHOLE:
        take_whole(c, message);
        return TR_OK;
    case TR_MSG_FATAL:
        if (c->ranks > 1)
            snprintf(fatal.text, sizeof fatal.text, "rank %d: %.900s", from, message->text);
        else
            strcpy(fatal.text, message->text);
        tr_coordinator_fail(c, &fatal);
        return TR_OK;
    default:
        return take_piece(c, message, payload, size, err);
    }
}

static enum tr_status answer(void *user, int from, const void *request, size_t size,
                             void **answer_p, size_t *answer_size_p, struct tr_err *err) {
    struct tr_coordinator *c = user;
    struct tr_message message;
    if (size < sizeof message)
        return tr_fail(err, TR_EFORMAT, "a message of %zu bytes is too short", size);
    memcpy(&message, request, sizeof message);
    tr_limits_hear(&c->limits, from, tr_now());
    if (message.kind == TR_MSG_NEXT)
        return answer_next(c, from, answer_p, answer_size_p, err);
    enum tr_status status = take_message(c, from, &message, (const char *)request + sizeof message,
                                         size - sizeof message, err);
    if (status != TR_OK)
        tr_coordinator_fail(c, err);
    return status;
}

// ---- between messages --------------------------------------------------------------------------

static enum tr_status tell_seconds(struct tr_coordinator *c, struct tr_err *err) {
    char text[32];
    double each = tr_progress_seconds(&c->progress);
    snprintf(text, sizeof text, "%.3g", each);
    return each > 0 ? tr_store_tell(c->store, "seconds_per_checkpoint", text, err) : TR_OK;
}

static void publish(struct tr_coordinator *c) {
    struct tr_err err;
    if (tell_seconds(c, &err) != TR_OK ||
        tr_store_publish(c->store, &c->publish_seconds, &err) != TR_OK)
        tr_coordinator_fail(c, &err);
    c->dirty = false;
    c->last_publish = tr_now();
}

static void tick(void *user) {
    struct tr_coordinator *c = user;
    tr_endings_heed_stop(c);
    tr_endings_heed_silence(c);
    tr_arrivals_heed(c);
    double interval =
        fmax((double)c->job->settings->publish_seconds, PUBLISH_SHARE * c->publish_seconds);
    if (c->job->follow && c->finished == c->task_count) // nothing comes for now
        interval = PUBLISH_SHARE * c->publish_seconds;
    if (c->dirty && tr_now() - c->last_publish >= interval && !tr_store_is_busy(c->store))
        publish(c);
    tr_progress_show(&c->progress);
}

struct dist_service tr_coordinator_service(struct tr_coordinator *c) {
    return (struct dist_service){.user = c, .answer = answer, .tick = tick};
}

enum tr_status tr_coordinator_finish(struct tr_coordinator *c, struct tr_run_outcome *outcome,
                                     struct tr_err *err) {
    tr_arrivals_end(c);
    publish(c);
    tr_progress_end(&c->progress, c->finished + c->given_up - c->vanished, c->failed);
    bool left = c->finished < c->task_count;
    bool goes_on = left || !tr_arrivals_are_over(c);
    *outcome = (struct tr_run_outcome){.failed = c->failed, .stopped = goes_on && c->stopped};
    if (left && !c->stopped && c->fatal.code == TR_OK)
        tr_fail(&c->fatal, TR_ENVIRONMENT,
                "a rank gave up without a reason; run the same command again");
    if (c->fatal.code == TR_OK)
        return TR_OK;
    *err = c->fatal;
    return err->code = TR_ENVIRONMENT;
}
