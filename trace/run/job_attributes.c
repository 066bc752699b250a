// SPDX-License-Identifier: Apache-2.0
// What a store says of the run that made it, as attributes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "run/job.h"
#include "sublayer_sizes.h"

// What a sublayer is, in the words the store keeps: a residual add.
static const char definition[] =
    "x: residual stream entering the sublayer, before any norm; delta: everything the sublayer "
    "adds to the stream; similarity: mean over tokens of cos(x, x + delta); importance: mean of "
    "1 - cos; parallel residual: attn and mlp share x; block: delta is what attn and mlp add "
    "together";

// How values are computed, in the words the store keeps.
static enum tr_status describe_math(struct tr_job *job, struct tr_err *err) {
    char math[160];
    snprintf(math, sizeof math,
             "%s operands, f32 accumulation, f32 residual stream, f64 statistics; no fast-math%s",
             kn_type_name(job->type), job->device == KN_CUDA ? ", no TF32" : "");
    TR_TRY(tr_run_info_text(&job->info, TR_IDENTITY, "dtype", kn_type_name(job->type), err));
    return tr_run_info_text(&job->info, TR_RECORDED, "math", math, err);
}

// Which modules' removal is measured, in their usual order.
static enum tr_status describe_costs(struct tr_job *job, struct tr_err *err) {
    bool wanted[TR_MODULES];
    struct tr_string text = {0};
    if (!job->settings->cost)
        return TR_OK;
    enum tr_status status = tr_cost_modules(job->settings->cost, wanted, err);
    for (int module = 0; module < TR_MODULES && status == TR_OK; module++)
        if (wanted[module])
            status =
                tr_string_format(&text, err, "%s%s", text.size ? "," : "", tr_module_names[module]);
    if (status == TR_OK)
        status = tr_run_info_text(&job->info, TR_ADDED, "cost", text.data, err);
    tr_string_free(&text);
    return status;
}

static enum tr_status describe_search(struct tr_job *job, struct tr_err *err) {
    struct tr_string text = {0};
    if (!job->settings->search)
        return TR_OK;
    enum tr_status status = tr_search_text(job->settings->search, &text, err);
    if (status == TR_OK)
        status = tr_run_info_text(&job->info, TR_ADDED, "search", text.data, err);
    tr_string_free(&text);
    return status;
}

// Which sublayers were left out; a whole model's file has no such attribute.
static enum tr_status describe_drop(struct tr_job *job, struct tr_err *err) {
    struct tr_string text = {0};
    enum tr_status status = tr_drop_set_text(&job->drop, &text, err);
    if (status == TR_OK && job->drop.count)
        status = tr_run_info_text(&job->info, TR_IDENTITY, "drop", text.data, err);
    tr_string_free(&text);
    return status;
}

// In which layers attn is no attention; a file of a model without such layers has no such
// attribute.
static enum tr_status describe_scans(struct tr_job *job, struct tr_err *err) {
    const struct tr_config *c = &job->first.config;
    struct tr_drop_set scans = {0};
    struct tr_string text = {0};
    enum tr_status status = TR_OK;
    for (int layer = 0; layer < c->layers && status == TR_OK; layer++)
        if (tr_config_has(c, layer, TR_LAYER_SCAN))
            status = tr_drop_set_add(&scans, TR_ATTN, layer, err);
    if (status == TR_OK)
        status = tr_drop_set_text(&scans, &text, err);
    if (status == TR_OK && scans.count)
        status = tr_run_info_text(&job->info, TR_IDENTITY, "scans", text.data, err);
    tr_drop_set_free(&scans);
    tr_string_free(&text);
    return status;
}

static enum tr_status describe_sizes(struct tr_job *job, struct tr_err *err) {
    struct tr_string text = {0};
    enum tr_status status = tr_sublayer_sizes_text(
        &job->first.config, &job->drop, (int64_t)kn_type_size(job->first.weights), &text, err);
    if (status == TR_OK)
        status = tr_run_info_text(&job->info, TR_GAINED, "sizes", text.data, err);
    tr_string_free(&text);
    return status;
}

// Under which number a scheduler runs this, where one says so.
static enum tr_status describe_scheduler(struct tr_run_info *info, struct tr_err *err) {
    static const struct {
        const char *variable, *name;
    } schedulers[] = {{"SLURM_JOB_ID", "slurm"}, {"PBS_JOBID", "pbs"},
                      {"LSB_JOBID", "lsf"},      {"FLUX_JOB_ID", "flux"},
                      {"JOB_ID", "gridengine"},  {"COBALT_JOBID", "cobalt"}};
    for (size_t s = 0; s < sizeof schedulers / sizeof *schedulers; s++) {
        const char *id = getenv(schedulers[s].variable);
        char text[256];
        if (!id || !*id)
            continue;
        snprintf(text, sizeof text, "%s %.200s", schedulers[s].name, id);
        return tr_run_info_text(info, TR_VOLATILE, "scheduler_job", text, err);
    }
    return TR_OK;
}

// The attributes: what must agree for rows to be comparable, what is worth recording, and what is
// true only of the moment.
enum tr_status tr_job_describe(struct tr_job *job, const struct kn_backend *kn,
                               struct tr_err *err) {
    struct tr_run_info *i = &job->info;
    const struct tr_calibration *c = &job->calibration;
    char host[256] = "", time[TR_TIME_MAX];
    if (gethostname(host, sizeof host - 1))
        strcpy(host, "unknown");
    struct tr_string history = {0};
    TR_TRY(tr_string_format(&history, err, "%s: %d rank%s of %d thread%s: %s", tr_time_iso(time),
                            job->ranks, job->ranks == 1 ? "" : "s", job->threads,
                            job->threads == 1 ? "" : "s", job->settings->command));
    enum tr_status status;
    TR_GO(status, tr_run_info_text(i, TR_IDENTITY, "definition", definition, err), out);
    TR_GO(status, tr_run_info_text(i, TR_IDENTITY, "model", job->shape, err), out);
    TR_GO(status, tr_run_info_text(i, TR_IDENTITY, "tokens_digest", c->ids_digest, err), out);
    TR_GO(status, tr_run_info_number(i, TR_IDENTITY, "micro_batch", job->micro_batch, err), out);
    TR_GO(status, describe_drop(job, err), out);
    TR_GO(status, describe_scans(job, err), out);
    TR_GO(status, describe_costs(job, err), out);
    TR_GO(status, describe_search(job, err), out);
    TR_GO(status, describe_sizes(job, err), out);
    TR_GO(status, describe_math(job, err), out);
    TR_GO(status, tr_run_info_text(i, TR_RECORDED, "device", kn->ops->name, err), out);
    TR_GO(status, tr_run_info_text(i, TR_RECORDED, "library", kn->description, err), out);
    TR_GO(status, tr_run_info_text(i, TR_RECORDED, "calibration", c->label, err), out);
    TR_GO(status, tr_run_info_text(i, TR_RECORDED, "source", job->settings->version, err), out);
    TR_GO(status, tr_run_info_text(i, TR_VOLATILE, "build", job->settings->build, err), out);
    if (!job->follow) // nobody knows how many will come
        TR_GO(status, tr_run_info_number(i, TR_VOLATILE, "planned", job->series.count, err), out);
    TR_GO(status, tr_run_info_text(i, TR_VOLATILE, "created", time, err), out);
    if (job->series.rule.data)
        TR_GO(status, tr_run_info_text(i, TR_VOLATILE, "row_order", job->series.rule.data, err),
              out);
    TR_GO(status, tr_run_info_text(i, TR_VOLATILE, "host", host, err), out);
    TR_GO(status, tr_run_info_text(i, TR_VOLATILE, "history", history.data, err), out);
    status = describe_scheduler(i, err);
out:
    tr_string_free(&history);
    return status;
}
