// SPDX-License-Identifier: Apache-2.0
#include "eval/evaluation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "eval/task_plan.h"
#include "eval/task_results.h"
#include "run/affinity.h"
#include "run/job.h"
#include "run/progress.h"
#include "score_file.h"
#include "text/tokenizer_place.h"

struct evaluation {
    const struct tr_evaluation_settings *settings;
    struct tr_run_settings run; // the job's
    struct tr_job job;
    struct kn_backend *kn;
    struct tr_tokenizer *tokenizer;
    struct tr_prompt_rules rules;
    struct tr_tasks tasks;
    struct tr_task_plan *plans; // [tasks.count]
    struct tr_task_results results;
    char **names; // [series.count] of the checkpoints that were scored
    // Of the checkpoint under way and the one before: [tasks.count] likelihoods of a plan.
    struct tr_likelihood **now, **before;
    struct tr_scoring scoring;
    int64_t kept; // tasks of checkpoints whose scores were there
};

static void say(const struct evaluation *e, const char *text) {
    if (!e->run.quiet && text)
        tr_say(e->run.messages, text);
}

// ---- what is evaluated -------------------------------------------------------------------------

// The checkpoints, the first one's config, the text, device and drop sets are a trace's.
static enum tr_status prepare_job(struct evaluation *e, struct tr_err *err) {
    struct tr_string notes = {0};
    e->run = e->settings->run;
    e->run.out = NULL;
    e->run.cost = NULL;
    enum tr_status status = tr_job_prepare(&e->job, &e->run, &notes, err);
    tr_string_free(&notes);
    return status;
}

static enum tr_status open_backend(struct evaluation *e, const struct dist *dist,
                                   struct tr_err *err) {
    char why[256] = "";
    struct kn_options options = {
        .threads = tr_affinity_threads(dist), .type = e->job.type, .error = why};
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

static enum tr_status make_rules(struct evaluation *e, struct tr_err *err) {
    char *path;
    int64_t length = 0;
    TR_TRY(choose_length(e, &length, err));
    TR_TRY(find_tokenizer(e, &path, err));
    enum tr_status status =
        tr_tokenizer_open(&e->tokenizer, path, e->job.first.config.family->model_type, err);
    if (status == TR_OK)
        status = tr_prompt_rules_make(&e->rules, e->tokenizer, path, e->settings->prefix_token,
                                      e->settings->begin, length, err);
    free(path);
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

// ---- a checkpoint ------------------------------------------------------------------------------

struct checkpoint {
    struct evaluation *e;
    const struct tr_series_entry *entry;
    struct tr_loaded loaded;
    char *folder; // of its results
    bool stopped;
};

// All that a task's likelihoods depend on.
static enum tr_status identify(const struct checkpoint *c, const struct tr_task_plan *plan,
                               char identity[TR_DIGEST_MAX], struct tr_err *err) {
    const struct evaluation *e = c->e;
    struct tr_string text = {0};
    enum tr_status status = tr_string_format(
        &text, err, "1 %s %s %s %s %s %s", c->loaded.identity, c->loaded.config_digest,
        plan->digest, e->kn->ops->name, kn_type_name(e->job.type), plan->task->name);
    for (int64_t i = 0; i < e->job.sets.count && status == TR_OK; i++) {
        status = tr_string_append(&text, "\n", 1, err);
        if (status == TR_OK)
            status = tr_drop_set_text(&e->job.sets.sets[i].drop, &text, err);
    }
    if (status == TR_OK)
        tr_digest_bytes(text.data, text.size, identity);
    tr_string_free(&text);
    return status;
}

static enum tr_status score_path(const struct checkpoint *c, const struct tr_task *task,
                                 char **path_p, struct tr_err *err) {
    struct tr_string path = {0};
    char *name;
    TR_TRY(tr_file_name_of(&name, task->name, err));
    enum tr_status status = tr_string_format(&path, err, "%s/%s.scores.json", c->folder, name);
    free(name);
    *path_p = path.data;
    return status;
}

// The weights are read when the first task needs them.
static enum tr_status open_weights(const struct checkpoint *c, struct tr_err *err) {
    struct evaluation *e = c->e;
    static const struct tr_wanted wanted = {.head = true};
    if (e->scoring.weights)
        return TR_OK;
    return tr_resident_open(&e->scoring.weights, e->kn, c->entry->path, &wanted, err);
}

static enum tr_status score(struct checkpoint *c, int64_t t, const char *path, const char *identity,
                            struct tr_err *err) {
    struct evaluation *e = c->e;
    const struct tr_task_plan *plan = &e->plans[t];
    TR_TRY(open_weights(c, err));
    TR_TRY(tr_task_plan_score(plan, &e->scoring, e->now[t], &c->stopped, err));
    return c->stopped
               ? TR_OK
               : tr_scores_save(path, identity, &e->job.sets, plan->requests, e->now[t], err);
}

static enum tr_status take_task(struct checkpoint *c, int64_t t, struct tr_err *err) {
    struct evaluation *e = c->e;
    const struct tr_task_plan *plan = &e->plans[t];
    char identity[TR_DIGEST_MAX], *path = NULL;
    bool found = false;
    TR_TRY(identify(c, plan, identity, err));
    TR_TRY(TR_NEW(&e->now[t], (1 + e->job.sets.count) * plan->requests, "likelihoods", err));
    TR_TRY(score_path(c, plan->task, &path, err));
    enum tr_status status = e->run.fresh ? TR_OK
                                         : tr_scores_load(path, identity, &e->job.sets,
                                                          plan->requests, e->now[t], &found, err);
    e->kept += found;
    if (status == TR_OK && !found)
        status = score(c, t, path, identity, err);
    free(path);
    return status;
}

static enum tr_status take_tasks(struct checkpoint *c, struct tr_err *err) {
    struct evaluation *e = c->e;
    for (int64_t t = 0; t < e->tasks.count && !c->stopped; t++)
        TR_TRY(take_task(c, t, err));
    return TR_OK;
}

static void forget(struct tr_likelihood **likelihoods, int64_t count) {
    for (int64_t t = 0; likelihoods && t < count; t++) {
        free(likelihoods[t]);
        likelihoods[t] = NULL;
    }
}

// The cells of the checkpoint; what it was scored with is the next one's past.
static enum tr_status add_cells(struct checkpoint *c, struct tr_err *err) {
    struct evaluation *e = c->e;
    struct tr_task_results *results = &e->results;
    int64_t index = results->checkpoint_count;
    e->names[results->checkpoint_count++] = c->entry->name;
    for (int64_t t = 0; t < e->tasks.count; t++)
        TR_TRY(tr_task_results_add(results, index, &e->plans[t], e->now[t],
                                   index ? e->before[t] : NULL, err));
    forget(e->before, e->tasks.count);
    struct tr_likelihood **now = e->now;
    e->now = e->before;
    e->before = now;
    return TR_OK;
}

static enum tr_status save_set(const struct checkpoint *c, int64_t set, struct tr_err *err) {
    struct evaluation *e = c->e;
    struct tr_string path = {0};
    char *name = NULL;
    enum tr_status status = tr_string_format(&path, err, "%s", c->folder);
    if (status == TR_OK && set) {
        status = tr_file_name_of(&name, e->job.sets.sets[set - 1].name, err);
        if (status == TR_OK)
            status = tr_string_format(&path, err, "/%s", name);
        if (status == TR_OK)
            status = tr_make_folder(path.data, err);
    }
    if (status == TR_OK)
        status = tr_string_format(&path, err, "/results.json");
    e->results.model_folder = c->entry->path;
    if (status == TR_OK)
        status =
            tr_json_save(tr_task_results_json(&e->results, e->results.checkpoint_count - 1, set),
                         path.data, err);
    free(name);
    tr_string_free(&path);
    return status;
}

static enum tr_status evaluate_into(struct checkpoint *c, struct tr_err *err) {
    static const struct tr_wanted wanted = {.head = true};
    struct evaluation *e = c->e;
    TR_TRY(tr_loaded_examine(&c->loaded, c->entry->path, &wanted, err));
    TR_TRY(tr_make_folder(c->folder, err));
    TR_TRY(take_tasks(c, err));
    if (c->stopped)
        return TR_OK;
    TR_TRY(add_cells(c, err));
    for (int64_t set = 0; set <= e->job.sets.count; set++)
        TR_TRY(save_set(c, set, err));
    return TR_OK;
}

static enum tr_status evaluate_checkpoint(struct evaluation *e, int64_t index, bool *stopped_p,
                                          struct tr_err *err) {
    struct checkpoint c = {.e = e, .entry = &e->job.series.entries[index]};
    struct tr_string folder = {0};
    char *name;
    TR_TRY(tr_file_name_of(&name, c.entry->name, err));
    enum tr_status status = tr_string_format(&folder, err, "%s/%s", e->settings->folder, name);
    c.folder = folder.data;
    if (status == TR_OK)
        status = evaluate_into(&c, err);
    *stopped_p = c.stopped;
    tr_resident_close(e->scoring.weights);
    e->scoring.weights = NULL;
    forget(e->now, e->tasks.count);
    free(name);
    tr_string_free(&folder);
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
        enum tr_status status = evaluate_checkpoint(e, i, &outcome->stopped, &failure);
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

static enum tr_status say_end(const struct evaluation *e, double seconds, struct tr_err *err) {
    struct tr_string text = {0};
    char took[TR_HUMAN_MAX];
    TR_TRY(tr_string_format(
        &text, err, "scored tasks of %lld checkpoint%s in %s, %lld were already there; %s\n",
        (long long)e->results.checkpoint_count, e->results.checkpoint_count == 1 ? "" : "s",
        tr_human_seconds(seconds, took), (long long)e->kept, e->settings->folder));
    say(e, text.data);
    tr_string_free(&text);
    return TR_OK;
}

static enum tr_status write_results(struct evaluation *e, struct tr_string *page,
                                    struct tr_err *err) {
    struct tr_string path = {0};
    TR_TRY(tr_task_results_table(&e->results, page, err));
    TR_TRY(tr_string_format(&path, err, "%s/differences.json", e->settings->folder));
    enum tr_status status = tr_json_save(tr_task_differences_json(&e->results), path.data, err);
    tr_string_free(&path);
    return status;
}

static enum tr_status evaluate(struct evaluation *e, const struct dist *dist,
                               struct tr_evaluation_outcome *outcome, struct tr_string *page,
                               struct tr_err *err) {
    double start = tr_now();
    TR_TRY(prepare_job(e, err));
    TR_TRY(read_tasks(e, err));
    if (e->settings->task_file_count)
        TR_TRY(make_rules(e, err));
    TR_TRY(make_plans(e, err));
    TR_TRY(say_plans(e, err));
    TR_TRY(open_backend(e, dist, err));
    TR_TRY(tr_make_folder(e->settings->folder, err));
    e->scoring = (struct tr_scoring){.kn = e->kn, .sets = &e->job.sets, .stop = e->run.stop};
    e->results = (struct tr_task_results){.checkpoints = e->names,
                                          .sets = &e->job.sets,
                                          .level = e->settings->level,
                                          .type = kn_type_name(e->job.type),
                                          .device = e->kn->ops->name};
    TR_TRY(evaluate_all(e, outcome, err));
    TR_TRY(say_end(e, tr_now() - start, err));
    return write_results(e, page, err);
}

static void close_evaluation(struct evaluation *e) {
    forget(e->now, e->tasks.count);
    forget(e->before, e->tasks.count);
    free(e->now);
    free(e->before);
    for (int64_t t = 0; e->plans && t < e->tasks.count; t++)
        tr_task_plan_free(&e->plans[t]);
    free(e->plans);
    free(e->names);
    tr_task_results_free(&e->results);
    tr_tasks_free(&e->tasks);
    tr_prompt_rules_free(&e->rules);
    tr_tokenizer_free(e->tokenizer);
    if (e->kn)
        e->kn->ops->close(e->kn);
    tr_job_free(&e->job);
}

enum tr_status tr_evaluate(const struct tr_evaluation_settings *settings, const struct dist *dist,
                           struct tr_evaluation_outcome *outcome, struct tr_string *page,
                           struct tr_err *err) {
    struct evaluation e = {.settings = settings};
    *outcome = (struct tr_evaluation_outcome){0};
    enum tr_status status = evaluate(&e, dist, outcome, page, err);
    close_evaluation(&e);
    return status;
}
