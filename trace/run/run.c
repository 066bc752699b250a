// SPDX-License-Identifier: Apache-2.0
#include "run/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "affinity.h"
#include "base/alloc.h"
#include "coordinator.h"
#include "job.h"
#include "mpi/launcher.h"
#include "plan.h"
#include "progress.h"
#include "resume.h"
#include "store/deaths.h"
#include "worker.h"

// Everything one rank holds from start to end.
struct run {
    const struct tr_run_settings *settings;
    struct dist *dist;
    struct kn_backend *kn;
    struct tr_device device; // of this rank; nothing on the CPU
    double product_rate;     // FLOP/s of this rank's sgemm
    struct tr_job job;
    struct tr_store *store;             // rank 0
    struct tr_coordinator *coordinator; // rank 0
};

static void say(const struct run *r, const struct tr_string *text) {
    if (!r->settings->quiet && text->data)
        tr_say(r->settings->messages, text->data);
}

// A batch script that starts the program itself has one rank, whatever it asked for.
static enum tr_status note_tasks(const struct run *r, struct tr_string *notes, struct tr_err *err) {
    int64_t tasks = dist_tasks();
    int ranks = dist_size(r->dist);
    if (tasks <= ranks)
        return TR_OK;
    return tr_string_format(notes, err,
                            "%d rank%s in a job of %lld tasks (SLURM_NTASKS): srun --mpi=pmix, or "
                            "mpirun, starts one for each\n",
                            ranks, ranks == 1 ? "" : "s", (long long)tasks);
}

static enum tr_status prepare_job(struct run *r, struct tr_err *err) {
    struct tr_string notes = {0};
    enum tr_status status = note_tasks(r, &notes, err);
    if (status == TR_OK)
        status = tr_job_prepare(&r->job, r->settings, &notes, err);
    say(r, &notes);
    tr_string_free(&notes);
    return status;
}

// Rank 0's choice of device and type to everyone.
static enum tr_status share_choice(struct run *r, struct tr_err *err) {
    struct {
        enum kn_kind device;
        enum kn_type type;
    } mine = {r->job.device, r->job.type};
    void *bytes = &mine;
    size_t size = sizeof mine;
    TR_TRY(dist_broadcast(r->dist, &bytes, &size, err));
    if (bytes == &mine)
        return TR_OK;
    memcpy(&mine, bytes, sizeof mine);
    free(bytes);
    r->job.device = mine.device;
    r->job.type = mine.type;
    return TR_OK;
}

// FLOP/s of a product that is large enough to keep all of the machine busy, and no larger: for few
// threads the time it takes is that of a small run.
static double measure_product_rate(struct kn_backend *kn, enum kn_kind kind, int threads) {
    enum { FEW = 4 };
    int64_t side = kind == KN_CUDA ? 4096 : threads > FEW ? 1024 : 512;
    double cubed = (double)side * (double)side * (double)side;
    double seconds = kn_product_seconds(kn, side, side, side);
    *kn->error = '\0'; // a failure here is not one of what comes
    return seconds > 0 ? 2 * cubed / seconds : 0;
}

static enum tr_status open_backend(struct run *r, struct tr_err *err) {
    char why[256] = "";
    r->job.threads = tr_affinity_threads(r->dist);
    r->job.ranks = dist_size(r->dist);
    if (r->job.device == KN_CUDA)
        tr_affinity_device(&r->device, r->dist);
    struct kn_options options = {
        .threads = r->job.threads, .type = r->job.type, .device = r->device.index, .error = why};
    enum kn_status status = kn_open(&r->kn, r->job.device, &options);
    if (status != KN_OK)
        return tr_fail(err, TR_ENVIRONMENT, "cannot compute on %s: %s%s",
                       r->job.device == KN_CUDA ? "cuda" : "the CPU",
                       *why ? why : kn_status_text(status),
                       r->job.device == KN_CUDA ? "; --device cpu works" : "");
    r->product_rate = measure_product_rate(r->kn, r->job.device, r->job.threads);
    return TR_OK;
}

// A file at OUT that cannot be read or continued is a conflict, not a failed checkpoint.
static enum tr_status as_conflict(enum tr_status status) {
    return status == TR_EFORMAT || status == TR_EUNSUPPORTED ? TR_ECONFLICT : status;
}

static enum tr_status open_store(struct run *r, char **warnings_p, struct tr_err *err) {
    const struct tr_run_settings *o = r->settings;
    struct tr_shard shard = {o->shard, o->shards};
    if (!o->shards)
        return as_conflict(
            tr_store_open(&r->store, o->out, &r->job.info, o->fresh, warnings_p, err));
    return as_conflict(
        tr_store_open_shard(&r->store, o->out, &r->job.info, shard, warnings_p, err));
}

// The store that the job goes into, and what it holds already.
static enum tr_status meet_store(struct run *r, struct tr_err *err) {
    struct tr_string notes = {0};
    char *warnings = NULL;
    enum tr_status status = tr_job_describe(&r->job, r->kn, err);
    if (status == TR_OK && r->settings->dry_run)
        status = as_conflict(tr_job_preview(&r->job, &notes, err));
    else if (status == TR_OK)
        status = open_store(r, &warnings, err);
    if (status == TR_OK && r->store)
        status = tr_job_resume(&r->job, r->store, &notes, err);
    say(r, &notes);
    if (warnings) {
        tr_say(r->settings->messages, warnings);
        tr_say(r->settings->messages, "\n");
    }
    free(warnings);
    tr_string_free(&notes);
    return status;
}

static struct tr_rank_bytes memory_of(const struct run *r) {
    return tr_plan_memory(r->kn, (double)r->settings->device_memory, dist_node_size(r->dist),
                          r->device.sharers);
}

// The size of a micro-batch does not depend on the memory (docs/design.md, D6), so one has to fit.
static enum tr_status check_device_memory(struct run *r, struct tr_err *err) {
    char needed[TR_HUMAN_MAX], room[TR_HUMAN_MAX], reserve[TR_HUMAN_MAX];
    struct tr_fit fit = tr_fit_least(&r->job);
    struct tr_rank_bytes least = tr_fit_bytes(&r->job, r->kn, &fit);
    double device = memory_of(r).device;
    if (least.device <= device)
        return TR_OK;
    return tr_fail(
        err, TR_ENVIRONMENT,
        "the device has too little memory: a rank needs %s for two slabs of weights and "
        "a micro-batch of %lld x %lld tokens, and may take %s%s beside %s for the context "
        "and libraries",
        tr_human_bytes(least.device, needed), (long long)r->job.micro_batch,
        (long long)r->job.calibration.seq_len, tr_human_bytes(fmax(device, 0), room),
        r->settings->device_memory ? " by --device-memory" : "",
        tr_human_bytes(tr_plan_device_reserve, reserve));
}

static enum tr_status say_plan(struct run *r, struct tr_err *err) {
    struct tr_string text = {0};
    double rate = r->product_rate * dist_size(r->dist);
    struct tr_plan plan = tr_plan_make(&r->job, r->kn, dist_size(r->dist), dist_node_count(r->dist),
                                       memory_of(r), rate);
    plan.device = r->device;
    plan.node_ranks = dist_node_size(r->dist);
    TR_TRY(tr_plan_forecast(&plan, &r->job, r->product_rate, err));
    enum tr_status status = tr_plan_text(&plan, &r->job, r->kn, r->settings->dry_run, &text, err);
    if (status == TR_OK && r->settings->dry_run)
        tr_say(r->settings->results, text.data);
    else if (status == TR_OK)
        say(r, &text);
    tr_string_free(&text);
    return status;
}

static enum tr_status share_job(struct run *r, struct tr_err *err) {
    return tr_job_share(&r->job, r->settings, r->dist, err);
}

// Whoever ends a job has not died over a checkpoint.
static void end_job(void *user, bool stopped) {
    const struct run *r = user;
    struct tr_shard shard = {r->settings->shard, r->settings->shards};
    char *note;
    if (tr_death_note(&note, r->settings->out, shard, NULL) == TR_OK)
        tr_death_note_remove(note);
    dist_abort(r->dist, stopped ? TR_RUN_EXIT_STOPPED : TR_RUN_EXIT_SILENT);
}

static enum tr_status place_ranks(struct run *r, struct tr_err *err) {
    int *node_of;
    TR_TRY(TR_NEW(&node_of, dist_size(r->dist), "the ranks' nodes", err));
    for (int i = 0; i < dist_size(r->dist); i++)
        node_of[i] = dist_node_of(r->dist, i);
    enum tr_status status = tr_coordinator_place(r->coordinator, node_of, err);
    free(node_of);
    return status;
}

static enum tr_status open_coordinator(struct run *r, struct tr_err *err) {
    TR_TRY(tr_coordinator_new(&r->coordinator, &r->job, r->store, dist_size(r->dist),
                              r->kn->description, err));
    tr_coordinator_on_end(r->coordinator, end_job, r);
    return place_ranks(r, err);
}

// The way to work, from top to bottom. After each phase the ranks agree whether all go on.
struct phase {
    bool first_rank; // rank 0 alone
    bool dry;        // a dry run has it, too
    enum tr_status (*enter)(struct run *r, struct tr_err *err);
};
static const struct phase phases[] = {
    {true, true, prepare_job},           {false, true, share_choice},
    {false, true, open_backend},         {true, true, meet_store},
    {true, true, check_device_memory},   {true, true, say_plan},
    {false, false, share_job},           {true, false, open_coordinator},
    {false, false, check_device_memory}, // ranks may share devices with more others than rank 0
};

static enum tr_status enter_phases(struct run *r, bool *ready_p, struct tr_err *err) {
    *ready_p = false;
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        bool mine = dist_rank(r->dist) == 0 || !phases[i].first_rank;
        enum tr_status status = TR_OK;
        if (r->settings->dry_run && !phases[i].dry)
            return TR_OK;
        if (mine)
            status = phases[i].enter(r, err);
        if (!dist_all_ok(r->dist, status == TR_OK))
            return status;
    }
    *ready_p = true;
    return TR_OK;
}

// Tells rank 0 where this rank runs.
static enum tr_status say_hello(const struct run *r, struct tr_err *err) {
    struct {
        struct tr_message message;
        struct tr_hello hello;
    } hello = {.message = {.kind = TR_MSG_HELLO}};
    void *answer = NULL;
    size_t size;
    tr_affinity_hello(&hello.hello);
    hello.hello.threads = r->kn->threads;
    hello.hello.product_rate = r->product_rate;
    strcpy(hello.hello.device, r->device.text);
    TR_TRY(dist_request(r->dist, &hello, sizeof hello, &answer, &size, err));
    free(answer);
    return TR_OK;
}

// Serves and works until nothing is left. A rank's own error has reached rank 0, whose coordinator
// keeps it; this returns an error only where no work could begin.
static enum tr_status work(struct run *r, struct tr_err *err) {
    struct dist_service service = {0};
    bool computes = true;
    if (r->coordinator)
        service = tr_coordinator_service(r->coordinator);
    TR_TRY(dist_serve_begin(r->dist, &service, &computes, err));
    struct tr_err told;
    struct tr_fit fit = tr_fit_make(&r->job, r->kn, memory_of(r));
    if (say_hello(r, &told) == TR_OK && computes)
        tr_worker_run(&r->job, r->kn, r->dist, &fit, &told);
    dist_serve_end(r->dist);
    return TR_OK;
}

static void close_run(struct run *r) {
    tr_store_close(r->store);
    tr_coordinator_free(r->coordinator);
    tr_job_free(&r->job);
    if (r->kn)
        r->kn->ops->close(r->kn);
}

static enum tr_status run_more(struct run *r, const struct tr_run_more *more,
                               struct tr_run_outcome *outcome, enum tr_status status,
                               struct tr_err *err) {
    struct tr_run_state state = {
        .job = &r->job, .kn = r->kn, .dist = r->dist, .memory = memory_of(r), .store = r->store};
    if (!dist_all_ok(r->dist, status == TR_OK && !outcome->stopped))
        return status;
    return more->run(more->user, &state, outcome, err);
}

// A job that was asked to stop while it waited for the first checkpoint of a run has failed in
// nothing: the same command goes on.
static bool stopped_waiting(const struct run *r, const struct tr_err *err) {
    const struct tr_run_settings *o = r->settings;
    if (!o->follow || !o->stop || !*o->stop || err->code != TR_ENVIRONMENT)
        return false;
    tr_say(o->messages, err->text);
    tr_say(o->messages, "\n");
    return true;
}

enum tr_status tr_run_then(const struct tr_run_settings *settings, struct dist *dist,
                           const struct tr_run_more *more, struct tr_run_outcome *outcome,
                           struct tr_err *err) {
    struct run r = {.settings = settings, .dist = dist};
    bool ready;
    *outcome = (struct tr_run_outcome){0};
    enum tr_status status = enter_phases(&r, &ready, err);
    if (ready)
        status = work(&r, err);
    if (ready && status == TR_OK && r.coordinator)
        status = tr_coordinator_finish(r.coordinator, outcome, err);
    if (ready && more)
        status = run_more(&r, more, outcome, status, err);
    if (!ready && status != TR_OK && stopped_waiting(&r, err)) {
        outcome->stopped = true;
        status = TR_OK;
    }
    close_run(&r);
    return status;
}

enum tr_status tr_run(const struct tr_run_settings *settings, struct dist *dist,
                      struct tr_run_outcome *outcome, struct tr_err *err) {
    return tr_run_then(settings, dist, NULL, outcome, err);
}
