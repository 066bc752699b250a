// SPDX-License-Identifier: Apache-2.0
// trace-ckpts: every checkpoint of a training run over a calibration text, into a time series.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator.h"
#include "job.h"
#include "placement.h"
#include "plan.h"
#include "progress.h"
#include "resume.h"
#include "worker.h"

enum { EXIT_ALL_FAILED = 1, EXIT_USAGE = 2, EXIT_ENVIRONMENT = 3 };

// Everything one rank holds from start to end.
struct program {
    struct tr_options options;
    struct dist *dist;
    struct kn_backend *kn;
    struct tr_device device; // of this rank; nothing on the CPU
    double product_rate;     // FLOP/s of this rank's sgemm
    struct tr_job job;
    struct tr_store *store;             // rank 0
    struct tr_coordinator *coordinator; // rank 0
};

// Usage errors are printed by one rank only, before MPI starts: launchers tell the rank by
// variable.
static bool is_first_rank(void) {
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                            "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        if (getenv(variables[i]))
            return strcmp(getenv(variables[i]), "0") == 0;
    return true;
}

static int exit_code(enum tr_status status) {
    switch (status) {
    case TR_OK:
        return 0;
    case TR_EUSAGE:
        return EXIT_USAGE;
    case TR_EFORMAT:
    case TR_EUNSUPPORTED:
        return EXIT_ALL_FAILED;
    default:
        return EXIT_ENVIRONMENT;
    }
}

static void say(const struct program *p, const struct tr_string *text) {
    if (!p->options.quiet && text->data)
        tr_say(stderr, text->data);
}

// Rank 0's choice of device and type to everyone.
static enum tr_status share_choice(struct program *p, struct tr_err *err) {
    struct {
        enum kn_kind device;
        enum kn_type type;
    } mine = {p->job.device, p->job.type};
    void *bytes = &mine;
    size_t size = sizeof mine;
    TR_TRY(dist_broadcast(p->dist, &bytes, &size, err));
    if (bytes == &mine)
        return TR_OK;
    memcpy(&mine, bytes, sizeof mine);
    free(bytes);
    p->job.device = mine.device;
    p->job.type = mine.type;
    return TR_OK;
}

static enum tr_status open_backend(struct program *p, struct tr_err *err) {
    // A product that is large enough to keep all of the machine busy.
    int64_t side = p->job.device == KN_CUDA ? 4096 : 1024;
    char why[256] = "";
    struct kn_options options = {.threads = tr_placement_threads(p->dist),
                                 .type = p->job.type,
                                 .device = p->device.index,
                                 .error = why};
    enum kn_status status = kn_open(&p->kn, p->job.device, &options);
    if (status != KN_OK)
        return tr_fail(err, TR_ENVIRONMENT, "cannot compute on %s: %s%s",
                       p->job.device == KN_CUDA ? "cuda" : "the CPU",
                       *why ? why : kn_status_text(status),
                       p->job.device == KN_CUDA ? "; --device cpu works" : "");
    double cubed = (double)side * (double)side * (double)side;
    double seconds = kn_product_seconds(p->kn, side, side, side);
    p->product_rate = seconds > 0 ? 2 * cubed / seconds : 0;
    *p->kn->error = '\0'; // not of what comes
    return TR_OK;
}

// What lies in the way at OUT is no failed checkpoint.
static enum tr_status in_the_way(enum tr_status status) {
    return status == TR_EFORMAT || status == TR_EUNSUPPORTED ? TR_ECONFLICT : status;
}

static enum tr_status open_store(struct program *p, char **warnings_p, struct tr_err *err) {
    enum tr_status status =
        tr_store_open(&p->store, p->options.out, &p->job.info, p->options.fresh, warnings_p, err);
    return in_the_way(status);
}

// Rank 0 alone: the job.
static enum tr_status prepare(struct program *p, struct tr_err *err) {
    struct tr_string notes = {0};
    enum tr_status status = tr_job_prepare(&p->job, &p->options, &notes, err);
    say(p, &notes);
    tr_string_free(&notes);
    return status;
}

// Rank 0 alone: the store that the job goes into, and what it holds already.
static enum tr_status meet_store(struct program *p, const char *command, struct tr_err *err) {
    struct tr_string notes = {0};
    char *warnings = NULL;
    enum tr_status status = tr_job_describe(&p->job, p->kn, command, err);
    if (status == TR_OK && p->options.dry_run)
        status = in_the_way(tr_job_preview(&p->job, &notes, err));
    else if (status == TR_OK)
        status = open_store(p, &warnings, err);
    if (status == TR_OK && p->store)
        status = tr_job_resume(&p->job, p->store, &notes, err);
    say(p, &notes);
    if (warnings)
        fprintf(stderr, "%s\n", warnings);
    free(warnings);
    tr_string_free(&notes);
    return status;
}

static struct tr_rank_bytes memory_of(const struct program *p) {
    return tr_plan_memory(p->kn, (double)p->options.device_memory, dist_node_size(p->dist),
                          p->device.sharers);
}

// A micro-batch does not depend on the memory, so one has to fit.
static enum tr_status check_device_memory(const struct program *p, struct tr_err *err) {
    char needed[TR_HUMAN_MAX], room[TR_HUMAN_MAX], reserve[TR_HUMAN_MAX];
    int64_t all = p->job.calibration.sequences, micro = p->job.micro_batch;
    struct tr_rank_bytes least = tr_worker_bytes(&p->job, p->kn, micro < all ? micro : all, 0);
    double device = memory_of(p).device;
    if (least.device <= device)
        return TR_OK;
    return tr_fail(
        err, TR_ENVIRONMENT,
        "the device has too little memory: a rank needs %s for two slabs of weights and "
        "a micro-batch of %lld x %lld tokens, and may take %s%s beside %s for the context "
        "and libraries",
        tr_human_bytes(least.device, needed), (long long)p->job.micro_batch,
        (long long)p->job.calibration.seq_len, tr_human_bytes(fmax(device, 0), room),
        p->options.device_memory ? " by --device-memory" : "",
        tr_human_bytes(tr_plan_device_reserve, reserve));
}

static enum tr_status say_plan(const struct program *p, struct tr_err *err) {
    struct tr_string text = {0};
    double rate = p->product_rate * dist_size(p->dist);
    struct tr_plan plan = tr_plan_make(&p->job, p->kn, dist_size(p->dist), memory_of(p), rate);
    plan.device = p->device;
    plan.node_ranks = dist_node_size(p->dist);
    enum tr_status status = tr_plan_text(&plan, &p->job, p->kn, p->options.dry_run, &text, err);
    if (status == TR_OK && p->options.dry_run)
        tr_say(stdout, text.data);
    else if (status == TR_OK)
        say(p, &text);
    tr_string_free(&text);
    return status;
}

static enum tr_status say_hello(const struct program *p, struct tr_err *err) {
    struct {
        struct tr_message message;
        struct tr_hello hello;
    } hello = {.message = {.kind = TR_MSG_HELLO}};
    void *answer = NULL;
    size_t size;
    tr_placement_hello(&hello.hello);
    hello.hello.threads = p->kn->threads;
    hello.hello.product_rate = p->product_rate;
    strcpy(hello.hello.device, p->device.text);
    TR_TRY(dist_request(p->dist, &hello, sizeof hello, &answer, &size, err));
    free(answer);
    return TR_OK;
}

// Collective: serves and works until nothing is left. A rank's own error has reached rank 0, whose
// coordinator says it; returned is only that no work could begin.
static enum tr_status run(struct program *p, struct tr_err *err) {
    struct dist_service service = {0};
    bool computes = true;
    if (p->coordinator)
        service = tr_coordinator_service(p->coordinator);
    TR_TRY(dist_serve_begin(p->dist, &service, &computes, err));
    struct tr_err said;
    struct tr_fit fit = tr_worker_fit(&p->job, p->kn, memory_of(p));
    if (say_hello(p, &said) == TR_OK && computes)
        tr_worker_run(&p->job, p->kn, p->dist, &fit, &said);
    dist_serve_end(p->dist);
    return TR_OK;
}

// All ranks: true when rank 0 (and everyone) got this far.
static bool agree(const struct program *p, enum tr_status status) {
    return dist_all_ok(p->dist, status == TR_OK);
}

static enum tr_status run_job(struct program *p, int *exit_p, struct tr_err *err) {
    enum tr_status status = tr_job_share(&p->job, &p->options, p->dist, err);
    if (status == TR_OK && dist_rank(p->dist) == 0)
        status = tr_coordinator_new(&p->coordinator, &p->job, p->store, dist_size(p->dist),
                                    p->kn->description, err);
    // Ranks may share their devices with more others than rank 0 does.
    if (status == TR_OK)
        status = check_device_memory(p, err);
    if (!agree(p, status))
        return status;
    tr_signals_catch();
    TR_TRY(run(p, err));
    if (p->coordinator)
        tr_coordinator_finish(p->coordinator, exit_p);
    return TR_OK;
}

// Rank 0's part before work starts, when its backend is open.
static enum tr_status plan(struct program *p, const char *command, struct tr_err *err) {
    TR_TRY(meet_store(p, command, err));
    TR_TRY(check_device_memory(p, err));
    return say_plan(p, err);
}

static enum tr_status whole(struct program *p, const char *command, int *exit_p,
                            struct tr_err *err) {
    bool first = dist_rank(p->dist) == 0;
    enum tr_status status = first ? prepare(p, err) : TR_OK;
    if (!agree(p, status))
        return status;
    status = share_choice(p, err);
    if (!agree(p, status))
        return status;
    p->job.threads = tr_placement_threads(p->dist);
    if (p->job.device == KN_CUDA)
        tr_placement_device(&p->device, p->dist);
    status = open_backend(p, err);
    if (status == TR_OK && first)
        status = plan(p, command, err);
    if (!agree(p, status) || p->options.dry_run)
        return status;
    return run_job(p, exit_p, err);
}

int main(int argc, char **argv) {
    struct program p = {0};
    struct tr_err err = {0};
    int code = 0;
    char *command = tr_options_command(argc, argv); // before getopt sorts it
    tr_options_parse(&p.options, argc, argv, is_first_rank());
    if (dist_open(&p.dist, &argc, &argv, &err) != TR_OK) {
        fprintf(stderr, "trace-ckpts: %s\n", err.text);
        return EXIT_ENVIRONMENT;
    }
    enum tr_status status = whole(&p, command ? command : "trace-ckpts", &code, &err);
    if (status != TR_OK && *err.text) {
        fprintf(stderr, "trace-ckpts: %s\n", err.text);
        code = exit_code(status);
    }
    tr_store_close(p.store);
    tr_coordinator_free(p.coordinator);
    tr_job_free(&p.job);
    if (p.kn)
        p.kn->ops->close(p.kn);
    // Every rank leaves with rank 0's code, so that mpirun does too.
    double shared = code;
    dist_max(p.dist, &shared, 1);
    dist_close(p.dist);
    free(command);
    free(p.options.paths);
    return (int)shared;
}
