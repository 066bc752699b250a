// SPDX-License-Identifier: Apache-2.0
#include "eval/evaluation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "evaluation_state.h"
#include "run/affinity.h"
#include "run/progress.h"
#include "score_file.h"
#include "speed.h"
#include "text/tokenizer_place.h"

static void say(const struct evaluation *e, const char *text) {
    if (!e->run.quiet && text)
        tr_say(e->run.messages, text);
}

// ---- what is evaluated -------------------------------------------------------------------------

// The checkpoints, the first one's config, the text, device and drop sets are a trace's.
static enum tr_status prepare_job(struct evaluation *e, struct tr_err *err) {
    struct tr_string notes = {0};
    enum tr_status status = tr_job_prepare(&e->job, &e->run, &notes, err);
    tr_string_free(&notes);
    return status;
}

// Collective.
static enum tr_status open_backend(struct evaluation *e, struct dist *dist, struct tr_err *err) {
    char why[256] = "";
    e->node_ranks = dist_node_size(dist);
    e->compute.sharers = 1;
    if (e->job.device == KN_CUDA)
        tr_affinity_device(&e->compute, dist);
    struct kn_options options = {.threads = tr_affinity_threads(dist),
                                 .type = e->job.type,
                                 .device = e->compute.index,
                                 .error = why};
    enum kn_status status = kn_open(&e->kn, e->job.device, &options);
    if (status == KN_OK)
        return TR_OK;
    return tr_fail(err, TR_ENVIRONMENT, "cannot compute on %s: %s",
                   e->job.device == KN_CUDA ? "cuda" : "the CPU",
                   *why ? why : kn_status_text(status));
}

static enum tr_status find_tokenizer(const struct evaluation *e, char **path_p,
                                     struct tr_err *err) {
    const struct tr_series *series = &e->job.series;
    const char **folders;
    if (e->run.tokenizer)
        return tr_tokenizer_given(path_p, e->run.tokenizer, err);
    TR_TRY(TR_NEW(&folders, series->count, "the series' folders", err));
    for (int64_t i = 0; i < series->count; i++)
        folders[i] = series->entries[i].path;
    enum tr_status status = tr_tokenizer_place(path_p, folders, series->count, 0, err);
    free(folders);
    return status;
}

// The most tokens that are fed: what is asked for, else the positions, which is what the harness
// goes by.
static enum tr_status choose_length(const struct evaluation *e, int64_t *length_p,
                                    struct tr_err *err) {
    const struct tr_config *config = &e->job.first.config;
    int64_t most = tr_config_longest(config), asked = e->settings->max_length;
    *length_p = asked ? asked : config->positions;
    if (asked <= most)
        return TR_OK;
    return tr_fail(err, TR_EUSAGE, "--max-length %lld is more than the model's %lld positions",
                   (long long)asked, (long long)most);
}

static bool makes_texts(const struct evaluation *e) {
    for (int64_t t = 0; t < e->tasks.count; t++)
        if (e->tasks.tasks[t].kind == TR_TASK_GENERATE)
            return true;
    return false;
}

// Whether there is any text: tasks of ids alone need no tokenizer.
static bool has_texts(const struct evaluation *e) {
    for (int64_t t = 0; t < e->tasks.count; t++)
        for (int64_t d = 0; d < e->tasks.tasks[t].count; d++)
            if (!e->tasks.tasks[t].documents[d].generate.ids)
                return true;
    return e->run.tokenizer != NULL;
}

static enum tr_status make_rules(struct evaluation *e, struct tr_err *err) {
    char *path;
    int64_t length = 0;
    TR_TRY(choose_length(e, &length, err));
    e->rules.max_length = length;
    if (!has_texts(e))
        return TR_OK;
    TR_TRY(find_tokenizer(e, &path, err));
    enum tr_status status =
        tr_tokenizer_open(&e->tokenizer, path, e->job.first.config.family->model_type, err);
    if (status == TR_OK)
        status = tr_prompt_rules_make(&e->rules, e->tokenizer, path, e->settings->prefix_token,
                                      e->settings->begin, length, err);
    free(path);
    if (status == TR_OK && makes_texts(e))
        status = tr_detokenizer_new(&e->detokenizer, e->tokenizer, err);
    return status;
}

// The text's rows are one stream of tokens, cut anew into windows as long as rows.
static enum tr_status plan_strided(struct evaluation *e, struct tr_task_plan *plan,
                                   struct tr_task *task, struct tr_err *err) {
    const struct tr_calibration *c = &e->job.calibration;
    return tr_task_plan_strided(plan, task, c->ids, c->sequences * c->seq_len, c->seq_len,
                                e->settings->stride, err);
}

static enum tr_status read_tasks(struct evaluation *e, struct tr_err *err) {
    struct tr_task *strided;
    char name[64];
    for (int64_t i = 0; i < e->settings->task_file_count; i++)
        TR_TRY(tr_tasks_read(&e->tasks, e->settings->task_files[i], err));
    for (int64_t i = 0; i < e->settings->prompt_file_count; i++)
        TR_TRY(tr_tasks_read_prompts(&e->tasks, e->settings->prompt_files[i],
                                     e->settings->new_tokens, err));
    if (!e->settings->stride)
        return TR_OK;
    if (e->settings->stride > e->job.calibration.seq_len)
        return tr_fail(err, TR_EUSAGE, "--stride %lld is longer than the rows of %lld tokens",
                       (long long)e->settings->stride, (long long)e->job.calibration.seq_len);
    snprintf(name, sizeof name, "text, stride %lld", (long long)e->settings->stride);
    return tr_tasks_add(&strided, &e->tasks, name, TR_TASK_STRIDED, err);
}

static enum tr_status make_plans(struct evaluation *e, struct tr_err *err) {
    TR_TRY(TR_NEW(&e->plans, e->tasks.count, "tasks", err));
    TR_TRY(TR_NEW(&e->now, e->tasks.count, "tasks", err));
    TR_TRY(TR_NEW(&e->before, e->tasks.count, "tasks", err));
    TR_TRY(TR_NEW(&e->names, e->job.series.count, "checkpoints", err));
    for (int64_t t = 0; t < e->tasks.count; t++) {
        struct tr_task *task = &e->tasks.tasks[t];
        if (task->kind == TR_TASK_STRIDED)
            TR_TRY(plan_strided(e, &e->plans[t], task, err));
        else
            TR_TRY(tr_task_plan_make(&e->plans[t], &e->rules, task, err));
    }
    return TR_OK;
}

// A sentence for each document that is not scored; failures are said even to those who want quiet.
static enum tr_status say_plans(const struct evaluation *e, struct tr_err *err) {
    struct tr_string text = {0}, faults = {0};
    enum tr_status status = TR_OK;
    for (int64_t t = 0; t < e->tasks.count && status == TR_OK; t++) {
        const struct tr_task *task = &e->tasks.tasks[t];
        status = tr_string_format(&text, err, "%s: %lld documents, %lld requests\n", task->name,
                                  (long long)task->count, (long long)e->plans[t].requests);
        for (int64_t d = 0; d < task->count && status == TR_OK; d++)
            if (task->documents[d].fault)
                status = tr_string_format(&faults, err, "%s, document %lld is not scored: %s\n",
                                          task->name, (long long)task->documents[d].id,
                                          task->documents[d].fault);
    }
    if (status == TR_OK) {
        say(e, text.data);
        if (faults.data)
            tr_say(e->run.messages, faults.data);
    }
    tr_string_free(&text);
    tr_string_free(&faults);
    return status;
}

// ---- all of them -------------------------------------------------------------------------------

// What is wrong with a checkpoint, and not with the machine or with the command.
static bool is_of_checkpoint(enum tr_status status) {
    return status == TR_EFORMAT || status == TR_EUNSUPPORTED || status == TR_EIO;
}

static enum tr_status say_failure(const struct evaluation *e, const char *name,
                                  const struct tr_err *failure, struct tr_err *err) {
    struct tr_string text = {0};
    TR_TRY(tr_string_format(&text, err, "%s failed: %s\n", name, failure->text));
    tr_say(e->run.messages, text.data);
    tr_string_free(&text);
    return TR_OK;
}

static enum tr_status evaluate_all(struct evaluation *e, struct tr_evaluation_outcome *outcome,
                                   struct tr_err *err) {
    for (int64_t i = 0; i < e->job.series.count && !outcome->stopped; i++) {
        struct tr_err failure = {0};
        enum tr_status status = tr_evaluate_checkpoint(e, i, &outcome->stopped, &failure);
        if (status != TR_OK && !is_of_checkpoint(status)) {
            *err = failure;
            return status;
        }
        if (status == TR_OK)
            continue;
        outcome->failed++;
        TR_TRY(say_failure(e, e->job.series.entries[i].name, &failure, err));
    }
    return TR_OK;
}

static enum tr_status end_text(const struct evaluation *e, double seconds, struct tr_string *text,
                               struct tr_err *err) {
    char took[TR_HUMAN_MAX];
    TR_TRY(tr_string_format(
        text, err, "scored tasks of %lld checkpoint%s in %s, %lld were already there",
        (long long)e->results.checkpoint_count, e->results.checkpoint_count == 1 ? "" : "s",
        tr_human_seconds(seconds, took), (long long)(e->kept - e->shared)));
    if (e->joined)
        TR_TRY(tr_string_format(text, err, ", %lld were scored by several ranks together",
                                (long long)e->joined));
    return tr_string_format(text, err, "; %s\n", e->settings->folder);
}

static enum tr_status say_end(const struct evaluation *e, double seconds, struct tr_err *err) {
    struct tr_string text = {0};
    enum tr_status status = end_text(e, seconds, &text, err);
    if (status == TR_OK)
        say(e, text.data);
    tr_string_free(&text);
    return status;
}

static enum tr_status write_results(struct evaluation *e, struct tr_string *page,
                                    struct tr_err *err) {
    struct tr_string path = {0};
    TR_TRY(tr_task_results_table(&e->results, page, err));
    TR_TRY(tr_string_format(&path, err, "%s/differences.json", e->settings->folder));
    enum tr_status status =
        tr_json_save(tr_task_differences_json(&e->results), JSON_INDENT(1), path.data, err);
    tr_string_free(&path);
    return status;
}

// What every rank needs to score a task.
static enum tr_status prepare_tasks(struct evaluation *e, struct tr_err *err) {
    TR_TRY(read_tasks(e, err));
    if (e->tasks.count)
        TR_TRY(make_rules(e, err));
    return make_plans(e, err);
}

static enum tr_status prepare_first(struct evaluation *e, struct tr_err *err) {
    TR_TRY(prepare_job(e, err));
    TR_TRY(prepare_tasks(e, err));
    TR_TRY(say_plans(e, err));
    return tr_make_folder(e->settings->folder, err);
}

// Collective. Rank 0 first, so that what is wrong with the command is said once.
static enum tr_status prepare(struct evaluation *e, struct dist *dist, struct tr_err *err) {
    bool is_first = dist_rank(dist) == 0;
    enum tr_status status = is_first ? prepare_first(e, err) : TR_OK;
    if (!dist_all_ok(dist, status == TR_OK)) {
        e->is_over = true;
        return status;
    }
    status = tr_job_share(&e->job, &e->run, dist, err);
    if (status == TR_OK && !is_first)
        status = prepare_tasks(e, err);
    if (!dist_all_ok(dist, status == TR_OK))
        return status != TR_OK ? status
                               : tr_fail(err, TR_ENVIRONMENT, "another rank could not begin");
    status = open_backend(e, dist, err);
    return dist_all_ok(dist, status == TR_OK) || status != TR_OK
               ? status
               : tr_fail(err, TR_ENVIRONMENT, "another rank could not begin");
}

// What rank 0 does by itself.
struct finish {
    struct evaluation *e;
    struct tr_evaluation_outcome *outcome;
    struct tr_string *page;
    double start;
};

static enum tr_status finish(void *user, struct tr_err *err) {
    struct finish *f = user;
    struct evaluation *e = f->e;
    if (e->settings->speed.prompt_count) {
        TR_TRY(tr_speed_copy(e->kn, &e->copy_rate, err));
        TR_TRY(tr_speed_product(e->kn, &e->product_rate, err));
    }
    TR_TRY(evaluate_all(e, f->outcome, err));
    if (e->tasks.count)
        TR_TRY(say_end(e, tr_now() - f->start, err));
    if (e->speeds.size)
        TR_TRY(tr_string_append(f->page, e->speeds.data, e->speeds.size, err));
    return e->tasks.count ? write_results(e, f->page, err) : TR_OK;
}

static enum tr_status evaluate(struct evaluation *e, struct dist *dist,
                               struct tr_evaluation_outcome *outcome, struct tr_string *page,
                               struct tr_err *err) {
    struct finish end = {e, outcome, page, tr_now()};
    TR_TRY(prepare(e, dist, err));
    if (e->is_over)
        return TR_OK;
    e->scoring = (struct tr_scoring){.kn = e->kn, .sets = &e->job.sets, .stop = e->run.stop};
    e->results = (struct tr_task_results){.checkpoints = e->names,
                                          .sets = &e->job.sets,
                                          .level = e->settings->level,
                                          .type = kn_type_name(e->job.type),
                                          .device = e->kn->ops->name};
    if (dist_size(dist) == 1)
        return finish(&end, err);
    TR_TRY(tr_task_share(e, dist, err));
    e->run.fresh = false; // what is there now is of this run
    return tr_first_rank_alone(dist, finish, &end, err);
}

static void close_evaluation(struct evaluation *e) {
    tr_forget_scores(e->now, e->tasks.count);
    tr_forget_scores(e->before, e->tasks.count);
    free(e->now);
    free(e->before);
    for (int64_t t = 0; e->plans && t < e->tasks.count; t++)
        tr_task_plan_free(&e->plans[t]);
    free(e->plans);
    free(e->names);
    tr_string_free(&e->speeds);
    tr_task_results_free(&e->results);
    tr_tasks_free(&e->tasks);
    tr_prompt_rules_free(&e->rules);
    tr_detokenizer_free(e->detokenizer);
    tr_tokenizer_free(e->tokenizer);
    if (e->kn)
        e->kn->ops->close(e->kn);
    tr_job_free(&e->job);
}

enum tr_status tr_evaluate(const struct tr_evaluation_settings *settings, struct dist *dist,
                           struct tr_evaluation_outcome *outcome, struct tr_string *page,
                           struct tr_err *err) {
    struct evaluation e = {.settings = settings, .run = settings->run};
    e.run.out = NULL;
    e.run.cost = NULL;
    e.run.no_rows = !settings->stride;
    *outcome = (struct tr_evaluation_outcome){0};
    enum tr_status status = evaluate(&e, dist, outcome, page, err);
    close_evaluation(&e);
    return status;
}
