// SPDX-License-Identifier: Apache-2.0
// The checkpoints that a job has to do: those that are there at the start and, with --follow, those
// that appear.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "coordinator_state.h"
#include "model/costs.h"
#include "results.h"
#include "run/following.h"
#include "run/resume.h"
#include "run/snapshot.h"
#include "store/deaths.h"

static void free_entry(struct tr_series_entry *entry) {
    free(entry->path);
    free(entry->name);
    *entry = (struct tr_series_entry){0};
}

// Adds a checkpoint to do, with what it costs.
static enum tr_status add_task(struct tr_coordinator *c, const struct task *task,
                               struct tr_err *err) {
    const struct tr_job *job = c->job;
    double each = tr_config_flops(&job->first.config, 1, job->calibration.seq_len, &job->wanted);
    struct dist_task cost = {.bytes = job->first.bytes_read, .node = -1};
    cost.flops = each * tr_job_tokens(job, task->traced);
    TR_TRY(tr_grow((void **)&c->tasks, &c->task_capacity, (uint64_t)c->task_count + 1,
                   sizeof *c->tasks, "the list of checkpoints", err));
    TR_TRY(dist_work_add(c->work, &cost, err));
    c->tasks[c->task_count++] = *task;
    return TR_OK;
}

static void note_step(struct tr_coordinator *c, const struct tr_series_entry *entry) {
    c->highest_step = entry->parsed.step > c->highest_step ? entry->parsed.step : c->highest_step;
}

// Copies of what the store has.
static void release_done(struct tr_coordinator *c) {
    const struct tr_job *job = c->job;
    int64_t next = 0; // the list has the order of the series
    for (int64_t i = 0; i < job->series.count; i++)
        if (next < job->todo_count && job->todo[next] == i)
            next++;
        else
            tr_snapshot_release(job->series.entries[i].path, job->settings);
}

// Records a checkpoint as failed over which ranks keep dying. The next command tries it again.
static enum tr_status give_up(struct tr_coordinator *c, const struct task *task, int64_t deaths,
                              struct tr_err *err) {
    struct tr_message message = {.kind = TR_MSG_FAILED, .status = TR_EIO};
    snprintf(message.text, sizeof message.text,
             "ranks died over it %lld times, of a crash, of too little memory or killed from "
             "outside; it is left out this time",
             (long long)deaths);
    TR_TRY(tr_results_commit(NULL, c->job, &task->entry, task->traced, &message, c->backend, err));
    tr_store_forget_deaths(c->store, task->entry.name);
    tr_progress_checkpoint(&c->progress, task->entry.name, &message);
    c->given_up++;
    c->failed++;
    c->dirty = true;
    return TR_OK;
}

static enum tr_status begin_task(struct tr_coordinator *c, const struct task *task,
                                 struct tr_err *err) {
    int64_t deaths = tr_store_deaths(c->store, task->entry.name);
    int64_t most = c->job->settings->give_up;
    return most && deaths >= most ? give_up(c, task, deaths, err) : add_task(c, task, err);
}

// Those over which a rank died come last, so that the others are done by then.
static enum tr_status begin_tasks(struct tr_coordinator *c, bool suspect, struct tr_err *err) {
    const struct tr_job *job = c->job;
    for (int64_t i = 0; i < job->todo_count; i++) {
        struct task task = {.entry = job->series.entries[job->todo[i]],
                            .traced = tr_job_is_traced(job, i)};
        task.suspect = tr_store_deaths(c->store, task.entry.name) > 0;
        if (task.suspect == suspect)
            TR_TRY(begin_task(c, &task, err));
    }
    return TR_OK;
}

// The checkpoints to do, in order.
enum tr_status tr_arrivals_begin(struct tr_coordinator *c, struct tr_err *err) {
    const struct tr_job *job = c->job;
    TR_TRY(dist_work_new(&c->work, tr_job_units(job), c->ranks, err));
    TR_TRY(begin_tasks(c, false, err));
    TR_TRY(begin_tasks(c, true, err));
    for (int64_t i = 0; i < job->series.count; i++)
        note_step(c, &job->series.entries[i]);
    if (job->follow) {
        release_done(c);
        return tr_follow_start(job->follow, err);
    }
    dist_work_close(c->work);
    return TR_OK;
}

static struct task *task_of_name(const struct tr_coordinator *c, const char *name) {
    for (int64_t i = c->task_count; i--;)
        if (!strcmp(c->tasks[i].entry.name, name))
            return &c->tasks[i];
    return NULL;
}

// Makes a task of what was found, which is then the task's. What the store has already is none; one
// that was written anew takes the place of the one before.
static enum tr_status take_entry(struct tr_coordinator *c, struct tr_series_entry *entry,
                                 struct tr_string *notes, struct tr_err *err) {
    enum tr_left left = TR_LEFT_ALL;
    struct task *before = task_of_name(c, entry->name);
    if (!before)
        TR_TRY(tr_job_left(&left, c->job, c->store, entry, notes, err));
    note_step(c, entry);
    if (left == TR_LEFT_NOTHING) {
        tr_snapshot_release(entry->path, c->job->settings);
        free_entry(entry);
        return TR_OK;
    }
    if (before && before->failed) {
        before->failed = false;
        c->failed--;
    }
    struct task task = {.entry = *entry, .owned = true, .traced = left == TR_LEFT_COSTS};
    TR_TRY(add_task(c, &task, err));
    *entry = (struct tr_series_entry){0};
    tr_progress_plan(&c->progress, task.traced);
    return TR_OK;
}

// Two tasks of one name at a time could commit in either order: the second waits for the first.
static bool is_in_hand(const struct tr_coordinator *c, const char *name) {
    const struct task *task = task_of_name(c, name);
    return task && !task->over;
}

static enum tr_status take_waiting(struct tr_coordinator *c, struct tr_string *notes,
                                   struct tr_err *err) {
    bool found = true;
    while (found) {
        if (!c->waiting.path)
            TR_TRY(tr_follow_take(c->job->follow, &c->waiting, &found, notes, err));
        if (!c->waiting.path || is_in_hand(c, c->waiting.name))
            return TR_OK;
        TR_TRY(take_entry(c, &c->waiting, notes, err));
    }
    return TR_OK;
}

// Whether what --until says has come.
static bool is_enough(const struct tr_coordinator *c) {
    const struct tr_run_settings *o = c->job->settings;
    if (c->waiting.path)
        return false;
    if (o->until_step && c->highest_step >= o->until_step)
        return true;
    double since = fmax(c->last_over, tr_follow_changed(c->job->follow));
    return o->until_idle && c->finished == c->task_count &&
           tr_now() - since >= (double)o->until_idle;
}

static void say_notes(struct tr_coordinator *c, struct tr_string *notes) {
    if (notes->size && !c->job->settings->quiet) {
        notes->data[notes->size - 1] = 0; // the last line's end
        tr_progress_note(&c->progress, notes->data);
    }
    tr_string_free(notes);
}

void tr_arrivals_heed(struct tr_coordinator *c) {
    struct tr_string notes = {0};
    struct tr_err err;
    if (!c->job->follow || c->closed || c->stopped)
        return;
    if (take_waiting(c, &notes, &err) != TR_OK)
        tr_coordinator_fail(c, &err);
    say_notes(c, &notes);
    c->closed = is_enough(c);
    if (c->closed)
        dist_work_close(c->work);
}

void tr_arrivals_end(struct tr_coordinator *c) {
    struct tr_string notes = {0};
    struct tr_err err;
    if (!c->job->follow)
        return;
    if (tr_follow_end(c->job->follow, &notes, &err) != TR_OK)
        tr_coordinator_fail(c, &err);
    say_notes(c, &notes);
}

bool tr_arrivals_are_over(const struct tr_coordinator *c) {
    return !c->job->follow || c->closed;
}

void tr_arrivals_free(struct tr_coordinator *c) {
    for (int64_t i = 0; i < c->task_count; i++) {
        tr_assembly_free(&c->tasks[i].assembly);
        if (c->tasks[i].owned)
            free_entry(&c->tasks[i].entry);
    }
    free_entry(&c->waiting);
    free(c->tasks);
}
