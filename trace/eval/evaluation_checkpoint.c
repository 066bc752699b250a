// SPDX-License-Identifier: Apache-2.0
// One checkpoint of an evaluation: its tasks' scores, found or made, and what is written of them.
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "evaluation_state.h"
#include "generate_task.h"
#include "run/node_memory.h"
#include "score_file.h"
#include "speed_rows.h"
#include "speed_sublayers.h"
#include "task_parts.h"

// All that a task's likelihoods depend on.
static enum tr_status identify(const struct tr_evaluated *c, const struct tr_task_plan *plan,
                               char identity[TR_DIGEST_MAX], struct tr_err *err) {
    const struct evaluation *e = c->e;
    struct tr_string text = {0};
    enum tr_status status = tr_string_format(
        &text, err, "1 %s %s %s %s %s %s", c->loaded.identity, c->loaded.config_digest,
        plan->digest, e->kn->ops->name, kn_type_name(e->job.type), plan->task->name);
    for (int64_t i = 0; plan->task->kind == TR_TASK_GENERATE && i < c->ends.count; i++)
        if (status == TR_OK)
            status = tr_string_format(&text, err, " %d", (int)c->ends.ids[i]);
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

enum tr_status tr_task_path(const struct tr_evaluated *c, const struct tr_task *task,
                            const char *what, char **path_p, struct tr_err *err) {
    struct tr_string path = {0};
    char *name;
    TR_TRY(tr_file_name_of(&name, task->name, err));
    enum tr_status status = tr_string_format(&path, err, "%s/%s.%s.json", c->folder, name, what);
    free(name);
    *path_p = path.data;
    return status;
}

// Bytes that weights may take for as long as tasks run; the rest is for what goes through them.
static double weights_memory(const struct evaluation *e) {
    static const double share = 0.7;
    if (e->kn->unified)
        return share * tr_node_memory() / e->node_ranks;
    return share * (double)e->kn->memory_free / e->compute.sharers;
}

// The weights are read when the first task needs them.
static enum tr_status open_weights(const struct tr_evaluated *c, struct tr_err *err) {
    struct evaluation *e = c->e;
    static const struct tr_wanted wanted = {.head = true};
    if (e->scoring.weights)
        return TR_OK;
    TR_TRY(
        tr_pass_weights_open(&e->weights, e->kn, c->entry->path, &wanted, weights_memory(e), err));
    e->scoring.weights = &e->weights;
    return TR_OK;
}

static void close_weights(struct evaluation *e) {
    if (e->scoring.weights)
        tr_pass_weights_close(&e->weights);
    e->scoring.weights = NULL;
}

// ---- files of a checkpoint ---------------------------------------------------------------------

// FOLDER[/SET], made where it is not there.
static enum tr_status set_folder(const struct tr_evaluated *c, int64_t set, struct tr_string *path,
                                 struct tr_err *err) {
    char *name;
    TR_TRY(tr_string_format(path, err, "%s", c->folder));
    if (!set)
        return TR_OK;
    TR_TRY(tr_file_name_of(&name, c->e->job.sets.sets[set - 1].name, err));
    enum tr_status status = tr_string_format(path, err, "/%s", name);
    free(name);
    return status == TR_OK ? tr_make_folder(path->data, err) : status;
}

// Whose texts are made.
struct keeper {
    const struct tr_evaluated *c;
    const struct tr_task *task;
};

static enum tr_status keep_texts(void *user, int64_t set, const struct tr_string *lines,
                                 struct tr_err *err) {
    const struct keeper *k = user;
    struct tr_string path = {0};
    char *name = NULL;
    enum tr_status status = set_folder(k->c, set, &path, err);
    if (status == TR_OK)
        status = tr_file_name_of(&name, k->task->name, err);
    if (status == TR_OK)
        status = tr_string_format(&path, err, "/%s.texts.jsonl", name);
    if (status == TR_OK)
        status = tr_file_replace(path.data, lines->data, lines->size, err);
    free(name);
    tr_string_free(&path);
    return status;
}

// ---- scores ------------------------------------------------------------------------------------

static enum tr_status generate(struct tr_evaluated *c, int64_t t, struct tr_err *err) {
    struct evaluation *e = c->e;
    struct keeper keeper = {c, e->plans[t].task};
    struct tr_generate_task task = {.plan = &e->plans[t],
                                    .scoring = &e->scoring,
                                    .detokenizer = e->detokenizer,
                                    .ends = c->ends.ids,
                                    .end_count = c->ends.count,
                                    .batch = e->settings->batch,
                                    .keep = keep_texts,
                                    .user = &keeper};
    return tr_generate_task(&task, e->now[t], &c->stopped, err);
}

static enum tr_status score_task(struct tr_evaluated *c, int64_t t, const char *identity,
                                 struct tr_err *err) {
    TR_TRY(open_weights(c, err));
    if (c->e->plans[t].task->kind == TR_TASK_GENERATE)
        return generate(c, t, err);
    return tr_task_parts_join(c, t, identity, err);
}

static enum tr_status score(struct tr_evaluated *c, int64_t t, const char *path,
                            const char *identity, struct tr_err *err) {
    struct evaluation *e = c->e;
    const struct tr_task_plan *plan = &e->plans[t];
    TR_TRY(score_task(c, t, identity, err));
    if (c->stopped)
        return TR_OK;
    TR_TRY(tr_scores_save(path, identity, &e->job.sets, plan->requests, e->now[t], err));
    return plan->task->kind == TR_TASK_GENERATE ? TR_OK : tr_task_parts_remove(c, t, err);
}

// A task's scores as they may be kept already.
struct kept {
    char identity[TR_DIGEST_MAX];
    char *path;
    bool found;
};

static enum tr_status find_kept(struct tr_evaluated *c, int64_t t, struct kept *kept,
                                struct tr_err *err) {
    struct evaluation *e = c->e;
    const struct tr_task_plan *plan = &e->plans[t];
    TR_TRY(identify(c, plan, kept->identity, err));
    TR_TRY(TR_NEW(&e->now[t], (1 + e->job.sets.count) * plan->requests, "likelihoods", err));
    TR_TRY(tr_task_path(c, plan->task, "scores", &kept->path, err));
    // What is there of a task in parts is of an earlier run: this one's is yet to be put together.
    bool in_parts = e->parts && plan->task->kind != TR_TASK_GENERATE;
    bool is_past = e->run.fresh || (e->settings->run.fresh && in_parts);
    return is_past ? TR_OK
                   : tr_scores_load(kept->path, kept->identity, &e->job.sets, plan->requests,
                                    e->now[t], &kept->found, err);
}

enum tr_status tr_evaluated_take(struct tr_evaluated *c, int64_t t, bool *scored_p,
                                 struct tr_err *err) {
    struct kept kept = {.path = NULL};
    enum tr_status status = find_kept(c, t, &kept, err);
    if (status == TR_OK && !kept.found)
        status = score(c, t, kept.path, kept.identity, err);
    *scored_p = !kept.found && status == TR_OK && !c->stopped;
    free(kept.path);
    return status;
}

enum tr_status tr_evaluated_take_part(struct tr_evaluated *c, int64_t t, int64_t part,
                                      bool *scored_p, struct tr_err *err) {
    struct kept kept = {.path = NULL};
    *scored_p = false;
    if (c->e->plans[t].task->kind == TR_TASK_GENERATE)
        return part == 0 ? tr_evaluated_take(c, t, scored_p, err) : TR_OK;
    enum tr_status status = find_kept(c, t, &kept, err);
    if (status == TR_OK && !kept.found)
        status = open_weights(c, err);
    if (status == TR_OK && !kept.found)
        status = tr_task_part_score(c, t, part, kept.identity, err);
    free(kept.path);
    return status;
}

static enum tr_status take_tasks(struct tr_evaluated *c, struct tr_err *err) {
    struct evaluation *e = c->e;
    bool scored;
    for (int64_t t = 0; t < e->tasks.count && !c->stopped; t++) {
        TR_TRY(tr_evaluated_take(c, t, &scored, err));
        e->kept += !scored;
    }
    return TR_OK;
}

void tr_forget_scores(struct tr_likelihood **likelihoods, int64_t count) {
    for (int64_t t = 0; likelihoods && t < count; t++) {
        free(likelihoods[t]);
        likelihoods[t] = NULL;
    }
}

// The cells of the checkpoint; what it was scored with is the next one's past.
static enum tr_status add_cells(struct tr_evaluated *c, struct tr_err *err) {
    struct evaluation *e = c->e;
    struct tr_task_results *results = &e->results;
    int64_t index = results->checkpoint_count;
    e->names[results->checkpoint_count++] = c->entry->name;
    for (int64_t t = 0; t < e->tasks.count; t++)
        TR_TRY(tr_task_results_add(results, index, &e->plans[t], e->now[t],
                                   index ? e->before[t] : NULL, err));
    TR_TRY(tr_task_means_add(&results->means, index, results->sets, e->plans, e->tasks.count,
                             e->now, results->level, err));
    tr_forget_scores(e->before, e->tasks.count);
    struct tr_likelihood **now = e->now;
    e->now = e->before;
    e->before = now;
    return TR_OK;
}

static enum tr_status save_set(const struct tr_evaluated *c, int64_t set, struct tr_err *err) {
    struct evaluation *e = c->e;
    struct tr_string path = {0};
    enum tr_status status = set_folder(c, set, &path, err);
    if (status == TR_OK)
        status = tr_string_format(&path, err, "/results.json");
    e->results.model_folder = c->entry->path;
    if (status == TR_OK)
        status =
            tr_json_save(tr_task_results_json(&e->results, e->results.checkpoint_count - 1, set),
                         JSON_INDENT(1), path.data, err);
    tr_string_free(&path);
    return status;
}

// ---- speed -------------------------------------------------------------------------------------

static enum tr_status save_speeds(const struct tr_evaluated *c, const struct tr_speed_rows *rows,
                                  struct tr_err *err) {
    struct tr_string path = {0};
    enum tr_status status = tr_string_format(&path, err, "%s/speed.json", c->folder);
    if (status == TR_OK)
        status = tr_json_save(tr_speed_json(rows), JSON_INDENT(1), path.data, err);
    tr_string_free(&path);
    if (status == TR_OK && c->e->speeds.size)
        status = tr_string_format(&c->e->speeds, err, "\n");
    return status == TR_OK ? tr_speed_table(rows, &c->e->speeds, err) : status;
}

static enum tr_status measure_speeds(struct tr_evaluated *c, struct tr_err *err) {
    struct evaluation *e = c->e;
    const struct tr_speed_settings *s = &e->settings->speed;
    TR_TRY(open_weights(c, err));
    struct tr_speed_rows rows = {.sets = &e->job.sets,
                                 .checkpoint = c->entry->name,
                                 .device = e->kn->ops->name,
                                 .description = e->kn->description,
                                 .type = kn_type_name(e->job.type),
                                 .rounds = s->rounds,
                                 .copy_rate = e->copy_rate,
                                 .product_rate = e->product_rate,
                                 .is_resident = e->weights.resident != NULL};
    struct tr_sublayer_speeds sublayers[TR_SPEED_PROMPTS];
    enum tr_status status = TR_OK;
    rows.sublayers = sublayers;
    for (int64_t i = 0; i < s->prompt_count && status == TR_OK; i++) {
        struct tr_speed_shape shape = {
            .prompt = s->prompts[i], .generated = s->generated, .batch = s->batch};
        status = tr_speed_rows_measure(&rows, &e->weights, &shape, err);
        if (status == TR_OK && s->sublayers)
            status = tr_sublayer_speeds_measure(&sublayers[i], &e->weights, &shape, s->rounds, err);
        rows.sublayer_count += status == TR_OK && s->sublayers;
    }
    if (status == TR_OK)
        status = save_speeds(c, &rows, err);
    for (int64_t i = 0; i < rows.sublayer_count; i++)
        tr_sublayer_speeds_free(&sublayers[i]);
    tr_speed_rows_free(&rows);
    return status;
}

// ---- all of it ---------------------------------------------------------------------------------

static enum tr_status evaluate_open(struct tr_evaluated *c, struct tr_err *err) {
    struct evaluation *e = c->e;
    TR_TRY(take_tasks(c, err));
    if (c->stopped)
        return TR_OK;
    if (e->settings->speed.prompt_count)
        TR_TRY(measure_speeds(c, err));
    if (!e->tasks.count)
        return TR_OK;
    TR_TRY(add_cells(c, err));
    for (int64_t set = 0; set <= e->job.sets.count; set++)
        TR_TRY(save_set(c, set, err));
    return TR_OK;
}

enum tr_status tr_evaluated_open(struct tr_evaluated *c, struct evaluation *e, int64_t index,
                                 struct tr_err *err) {
    static const struct tr_wanted wanted = {.head = true};
    struct tr_string folder = {0};
    char *name;
    *c = (struct tr_evaluated){.e = e, .entry = &e->job.series.entries[index]};
    TR_TRY(tr_file_name_of(&name, c->entry->name, err));
    enum tr_status status = tr_string_format(&folder, err, "%s/%s", e->settings->folder, name);
    free(name);
    c->folder = folder.data;
    TR_TRY(status);
    TR_TRY(tr_loaded_examine(&c->loaded, c->entry->path, &wanted, err));
    TR_TRY(tr_end_tokens_read(&c->ends, c->entry->path, &c->loaded.config, err));
    return tr_make_folder(c->folder, err);
}

void tr_evaluated_close(struct tr_evaluated *c) {
    if (!c->e)
        return;
    close_weights(c->e);
    tr_forget_scores(c->e->now, c->e->tasks.count);
    free(c->folder);
    *c = (struct tr_evaluated){0};
}

enum tr_status tr_evaluate_checkpoint(struct evaluation *e, int64_t index, bool *stopped_p,
                                      struct tr_err *err) {
    struct tr_evaluated c;
    enum tr_status status = tr_evaluated_open(&c, e, index, err);
    if (status == TR_OK)
        status = evaluate_open(&c, err);
    *stopped_p = c.stopped;
    tr_evaluated_close(&c);
    return status;
}
