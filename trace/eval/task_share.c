// SPDX-License-Identifier: Apache-2.0
// Tasks of all checkpoints among ranks, cut into parts where there are few. A rank goes on with the
// checkpoint whose weights it holds while that has tasks left, then takes one that nobody has
// begun, then helps others. Scores are kept in files, so nothing but which task is next goes
// between ranks.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "evaluation_state.h"
#include "task_parts.h"

// What rank 0 knows of the work.
struct hand_out {
    int64_t checkpoints, shares; // a share: a task, or one of its parts
    int64_t *next;               // [checkpoints] the first share that nobody has
    int64_t scored;
};

// A rank's question: the checkpoint that it holds, -1 for none, and whether it has scored a task.
struct question {
    int64_t held, scored;
};

struct answer {
    int64_t checkpoint, share; // -1: nothing is left
};

static int64_t choose(const struct hand_out *h, int64_t held) {
    int64_t best = -1;
    if (held >= 0 && held < h->checkpoints && h->next[held] < h->shares)
        return held;
    for (int64_t i = 0; i < h->checkpoints; i++)
        if (h->next[i] < h->shares && (best < 0 || h->next[i] < h->next[best]))
            best = i;
    return best;
}

static enum tr_status answer(void *user, int from, const void *request, size_t size,
                             void **answer_p, size_t *answer_size_p, struct tr_err *err) {
    struct hand_out *h = user;
    struct question question;
    struct answer *given;
    if (size != sizeof question)
        return tr_fail(err, TR_EFORMAT, "rank %d runs another program", from);
    memcpy(&question, request, size);
    TR_TRY(TR_NEW(&given, 1, "an answer", err));
    given->checkpoint = choose(h, question.held);
    given->share = given->checkpoint < 0 ? -1 : h->next[given->checkpoint]++;
    h->scored += question.scored;
    *answer_p = given;
    *answer_size_p = sizeof *given;
    return TR_OK;
}

static void tick(void *user) {
    (void)user;
}

static enum tr_status ask(struct dist *dist, int64_t held, bool scored, struct answer *given,
                          struct tr_err *err) {
    const struct question question = {held, scored};
    void *bytes = NULL;
    size_t size = 0;
    TR_TRY(dist_request(dist, &question, sizeof question, &bytes, &size, err));
    bool is_answer = size == sizeof *given;
    if (is_answer)
        memcpy(given, bytes, size);
    free(bytes);
    return is_answer ? TR_OK : tr_fail(err, TR_EFORMAT, "rank 0 runs another program");
}

// Tasks follow each other, of each its parts.
static enum tr_status take_share(struct tr_evaluated *c, int64_t share, bool *scored_p,
                                 struct tr_err *err) {
    int64_t parts = c->e->parts;
    if (!parts)
        return tr_evaluated_take(c, share, scored_p, err);
    return tr_evaluated_take_part(c, share / parts, share % parts, scored_p, err);
}

// What goes wrong is found again, and said, where the results are written.
static void score_share(struct evaluation *e, struct dist *dist) {
    struct tr_evaluated c = {0};
    struct answer given = {-1, -1};
    struct tr_err unsaid;
    enum tr_status status = TR_OK;
    bool scored = false;
    for (;;) {
        int64_t held = given.checkpoint;
        if (ask(dist, held, scored, &given, &unsaid) != TR_OK || given.checkpoint < 0)
            break;
        scored = false;
        if (e->run.stop && *e->run.stop)
            continue; // takes what is left, so that all ranks come to an end
        if (given.checkpoint != held) {
            tr_evaluated_close(&c);
            status = tr_evaluated_open(&c, e, given.checkpoint, &unsaid);
        }
        if (status == TR_OK && take_share(&c, given.share, &scored, &unsaid) != TR_OK)
            scored = false;
        tr_forget_scores(e->now, e->tasks.count);
    }
    tr_evaluated_close(&c);
}

// Tasks that are many for so many ranks stay whole.
static int64_t parts_of(const struct evaluation *e, int64_t ranks) {
    enum { MANY = 4 };
    if (e->job.series.count * e->tasks.count >= MANY * ranks)
        return 0;
    return ranks < TR_TASK_MOST_PARTS ? ranks : TR_TASK_MOST_PARTS;
}

enum tr_status tr_task_share(struct evaluation *e, struct dist *dist, struct tr_err *err) {
    e->parts = parts_of(e, dist_size(dist));
    struct hand_out h = {.checkpoints = e->job.series.count,
                         .shares = e->tasks.count * (e->parts ? e->parts : 1)};
    const struct dist_service service = {.user = &h, .answer = answer, .tick = tick};
    bool computes = true;
    enum tr_status status = TR_NEW(&h.next, h.checkpoints, "the checkpoints", err);
    if (!dist_all_ok(dist, status == TR_OK))
        return status;
    status = dist_serve_begin(dist, &service, &computes, err);
    if (status == TR_OK && computes)
        score_share(e, dist);
    if (status == TR_OK)
        dist_serve_end(dist);
    e->shared = h.scored;
    free(h.next);
    return status;
}

// ---- the first rank by itself ------------------------------------------------------------------

static enum tr_status answer_nothing(void *user, int from, const void *request, size_t size,
                                     void **answer_p, size_t *answer_size_p, struct tr_err *err) {
    (void)user;
    (void)request;
    (void)size;
    *answer_p = NULL;
    *answer_size_p = 0;
    return tr_fail(err, TR_EFORMAT, "rank %d asks for nothing that is there", from);
}

enum tr_status tr_first_rank_alone(struct dist *dist,
                                   enum tr_status (*work)(void *user, struct tr_err *err),
                                   void *user, struct tr_err *err) {
    static const struct dist_service service = {.answer = answer_nothing, .tick = tick};
    bool is_first = dist_rank(dist) == 0, computes = true;
    TR_TRY(dist_serve_begin(dist, &service, &computes, err));
    enum tr_status status = is_first && computes ? work(user, err) : TR_OK;
    dist_serve_end(dist);
    return is_first && !computes ? work(user, err) : status;
}
