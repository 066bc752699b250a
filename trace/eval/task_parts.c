// SPDX-License-Identifier: Apache-2.0
#include "task_parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "score_file.h"

static enum tr_status part_path(const struct tr_evaluated *c, int64_t t, int64_t part,
                                char **path_p, struct tr_err *err) {
    char what[32];
    snprintf(what, sizeof what, "part-%lld", (long long)part);
    return tr_task_path(c, c->e->plans[t].task, what, path_p, err);
}

// [candidates, prompts], all unknown.
static enum tr_status make_unknown(const struct tr_evaluated *c, int64_t t,
                                   struct tr_likelihood **of_prompts_p, struct tr_err *err) {
    int64_t count = (1 + c->e->job.sets.count) * c->e->plans[t].prompts.count;
    TR_TRY(TR_NEW(of_prompts_p, count, "likelihoods", err));
    for (int64_t i = 0; i < count; i++)
        (*of_prompts_p)[i] = tr_unknown_likelihood();
    return TR_OK;
}

static enum tr_status load_part(const struct tr_evaluated *c, int64_t t, int64_t part,
                                const char *identity, struct tr_likelihood *of_prompts,
                                bool *found_p, struct tr_err *err) {
    const struct evaluation *e = c->e;
    char *path;
    TR_TRY(part_path(c, t, part, &path, err));
    enum tr_status status = tr_part_load(path, identity, &e->job.sets, e->plans[t].prompts.count,
                                         of_prompts, found_p, err);
    free(path);
    return status;
}

static enum tr_status save_part(const struct tr_evaluated *c, int64_t t, int64_t part,
                                const char *identity, const struct tr_likelihood *of_prompts,
                                struct tr_err *err) {
    const struct evaluation *e = c->e;
    char *path;
    TR_TRY(part_path(c, t, part, &path, err));
    enum tr_status status =
        tr_scores_save(path, identity, &e->job.sets, e->plans[t].prompts.count, of_prompts, err);
    free(path);
    return status;
}

enum tr_status tr_task_part_score(struct tr_evaluated *c, int64_t t, int64_t part,
                                  const char *identity, struct tr_err *err) {
    struct evaluation *e = c->e;
    struct tr_likelihood *of_prompts;
    bool found = false;
    TR_TRY(make_unknown(c, t, &of_prompts, err));
    enum tr_status status =
        e->run.fresh ? TR_OK : load_part(c, t, part, identity, of_prompts, &found, err);
    e->scoring.part = part;
    e->scoring.parts = e->parts;
    if (status == TR_OK)
        status = tr_score_prompts(&e->scoring, &e->plans[t].prompts, of_prompts, &c->stopped, err);
    e->scoring.parts = 0;
    if (status == TR_OK && !c->stopped)
        status = save_part(c, t, part, identity, of_prompts, err);
    free(of_prompts);
    return status;
}

// Of a run that begins anew only what its own ranks left.
static enum tr_status load_parts(struct tr_evaluated *c, int64_t t, const char *identity,
                                 struct tr_likelihood *of_prompts, struct tr_err *err) {
    struct evaluation *e = c->e;
    int64_t most = e->settings->run.fresh ? e->parts : TR_TASK_MOST_PARTS, loaded = 0;
    for (int64_t part = 0; part < most; part++) {
        bool found;
        TR_TRY(load_part(c, t, part, identity, of_prompts, &found, err));
        loaded += found;
    }
    e->joined += loaded > 1;
    return TR_OK;
}

enum tr_status tr_task_parts_join(struct tr_evaluated *c, int64_t t, const char *identity,
                                  struct tr_err *err) {
    struct evaluation *e = c->e;
    const struct tr_task_plan *plan = &e->plans[t];
    struct tr_likelihood *of_prompts;
    TR_TRY(make_unknown(c, t, &of_prompts, err));
    enum tr_status status = load_parts(c, t, identity, of_prompts, err);
    if (status == TR_OK)
        status = tr_score_prompts(&e->scoring, &plan->prompts, of_prompts, &c->stopped, err);
    if (status == TR_OK && !c->stopped)
        tr_task_plan_sum(plan, 1 + e->job.sets.count, of_prompts, e->now[t]);
    free(of_prompts);
    return status;
}

enum tr_status tr_task_parts_remove(const struct tr_evaluated *c, int64_t t, struct tr_err *err) {
    for (int64_t part = 0; part < TR_TASK_MOST_PARTS; part++) {
        char *path;
        TR_TRY(part_path(c, t, part, &path, err));
        int failed = tr_file_exists(path) ? remove(path) : 0;
        enum tr_status status =
            failed ? tr_fail(err, TR_EIO, "cannot remove %s, whose numbers are kept", path) : TR_OK;
        free(path);
        TR_TRY(status);
    }
    return TR_OK;
}
