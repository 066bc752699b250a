// SPDX-License-Identifier: Apache-2.0
// What rank 0 finds out before work starts: which checkpoints, over which tokens, into which store.
#include "run/job.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "model/forward.h"
#include "run/following.h"
#include "sublayer_sizes.h"
#include "survey.h"
#include "tokenize.h"

// What a sublayer is, in the words the store keeps: a residual add.
static const char definition[] =
    "x: residual stream entering the sublayer, before any norm; delta: everything the sublayer "
    "adds to the stream; similarity: mean over tokens of cos(x, x + delta); importance: mean of "
    "1 - cos; parallel residual: attn and mlp share x; block: delta is what attn and mlp add "
    "together";

void tr_shape_text(const struct tr_config *c, char out[256]) {
    snprintf(out, 256,
             "%s layers=%lld hidden=%lld heads=%lld/%lld head_dim=%lld ffn=%lld vocabulary=%lld",
             c->family->model_type, (long long)c->layers, (long long)c->hidden, (long long)c->heads,
             (long long)c->kv_heads, (long long)c->qk_dim, (long long)c->ffn,
             (long long)c->vocabulary);
    if (c->experts)
        snprintf(out + strlen(out), 256 - strlen(out), " experts=%lld/%lld x %lld",
                 (long long)c->experts_used, (long long)c->experts, (long long)c->expert_ffn);
}

static enum tr_status list_series(struct tr_job *job, struct tr_err *err) {
    const struct tr_run_settings *o = job->settings;
    const struct tr_series_options options = tr_settings_series(o);
    if (o->manifest)
        return tr_series_from_manifest(&job->series, o->manifest, &options, err);
    if (!o->follow)
        return tr_series_from_paths(&job->series, o->paths, o->path_count, &options, err);
    TR_TRY(tr_follow_new(&job->follow, o, &job->wanted, err));
    return tr_follow_first(job->follow, &job->series, err);
}

static enum tr_status find_series(struct tr_job *job, struct tr_string *notes, struct tr_err *err) {
    TR_TRY(list_series(job, err));
    const struct tr_series *s = &job->series;
    if (s->count == 0)
        return tr_fail(err, TR_EUSAGE,
                       "no checkpoint folder among the arguments (%lld plain files)",
                       (long long)s->skipped_files);
    if (s->skipped_files)
        TR_TRY(tr_string_format(notes, err, "skipped %lld plain file%s (%s%s)\n",
                                (long long)s->skipped_files, s->skipped_files == 1 ? "" : "s",
                                s->first_skipped, s->skipped_files == 1 ? "" : ", ..."));
    if (s->count == 1)
        TR_TRY(tr_string_format(notes, err, "1 checkpoint, %s\n", s->entries[0].name));
    else
        TR_TRY(tr_string_format(notes, err, "%lld checkpoints, %s, from %s to %s\n",
                                (long long)s->count, s->order, s->entries[0].name,
                                s->entries[s->count - 1].name));
    return tr_string_append(notes, s->notes.data, s->notes.size, err);
}

// The first checkpoint whose headers and config can be read gives the series' shape.
static enum tr_status find_first(struct tr_job *job, int64_t *index_p, struct tr_err *err) {
    struct tr_err first_err;
    for (int64_t i = 0; i < job->series.count; i++) {
        struct tr_err *to = i ? err : &first_err;
        if (tr_loaded_examine(&job->first, job->series.entries[i].path, &job->wanted, to) ==
            TR_OK) {
            *index_p = i;
            return TR_OK;
        }
    }
    return tr_fail(err, first_err.code,
                   "none of the %lld checkpoints can be read; the first: %.800s",
                   (long long)job->series.count, first_err.text);
}

// Whether one of them could be opened when it was found; what never could has no identity.
static bool was_opened(const struct tr_series *series) {
    bool opened = false;
    for (int64_t i = 0; i < series->count; i++)
        opened = opened || *series->entries[i].identity;
    return opened;
}

// The same of a run that is followed: what could be opened a moment ago may be written again by
// now. Then the folder is looked at anew, and nothing in it counts as found, so that nothing is
// lost.
static enum tr_status find_first_whole(struct tr_job *job, int64_t *index_p, struct tr_err *err) {
    enum tr_status status = find_first(job, index_p, err);
    while (status != TR_OK && job->follow && was_opened(&job->series)) {
        tr_series_free(&job->series);
        job->series = (struct tr_series){0};
        tr_follow_free(job->follow);
        job->follow = NULL;
        TR_TRY(list_series(job, err));
        status = find_first(job, index_p, err);
    }
    return status;
}

enum { ROWS_LEAST = 32 };   // with fewer intervals over rows are wide
enum { TOKENS_LEAST = 64 }; // of a row that is worth being advised

// Says that rows are few, and what shorter ones would give where the program cuts them from a text.
static enum tr_status note_few(const struct tr_calibration *c, bool text, struct tr_string *notes,
                               struct tr_err *err) {
    int64_t tokens = c->sequences * c->seq_len + c->spare_tokens, shorter = tokens / ROWS_LEAST;
    if (c->sequences >= ROWS_LEAST)
        return TR_OK;
    TR_TRY(tr_string_format(notes, err, "calibration: fewer than %d rows give wide intervals",
                            ROWS_LEAST));
    if (text && shorter >= TOKENS_LEAST && shorter < c->seq_len)
        TR_TRY(tr_string_format(notes, err,
                                "; of this text --seq-len %lld gives %d rows, and shorter rows are "
                                "better than few",
                                (long long)shorter, ROWS_LEAST));
    return tr_string_append(notes, "\n", 1, err);
}

// One token stands for a text that nobody runs over.
static enum tr_status no_calibration(struct tr_calibration *c, struct tr_err *err) {
    c->sequences = c->seq_len = 1;
    TR_TRY(TR_NEW(&c->ids, 1, "the calibration", err));
    return tr_strdup(&c->label, "none", err);
}

static enum tr_status find_calibration(struct tr_job *job, int64_t first, struct tr_string *notes,
                                       struct tr_err *err) {
    const struct tr_run_settings *o = job->settings;
    if (o->no_rows)
        return no_calibration(&job->calibration, err);
    struct tr_calibration_options options = {.samples = o->samples,
                                             .seq_len = o->seq_len,
                                             .max_positions = tr_config_longest(&job->first.config),
                                             .vocabulary = job->first.config.vocabulary,
                                             .bos = o->bos};
    TR_TRY(o->tokens ? tr_calibration_from_tokens(&job->calibration, o->tokens, &options, err)
                     : tr_job_tokenize(job, first, &options, notes, err));
    const struct tr_calibration *c = &job->calibration;
    TR_TRY(tr_string_format(notes, err, "calibration: %lld row%s of %lld token%s from %s%s\n",
                            (long long)c->sequences, c->sequences == 1 ? "" : "s",
                            (long long)c->seq_len, c->seq_len == 1 ? "" : "s", c->label,
                            !o->texts && !o->tokens ? " (no --text or --tokens given)" : ""));
    return note_few(c, !o->tokens, notes, err);
}

// How many tokens' streams are compared, and how many are kept: no more than there are.
static enum tr_status size_spans(struct tr_job *job, struct tr_err *err) {
    enum { SPAN_TOKENS = 1024, DRIFT_TOKENS = 32 };
    const struct tr_run_settings *o = job->settings;
    struct tr_layout *layout = &job->info.layout;
    int64_t tokens = layout->sequences * layout->seq_len;
    if (!o->spans)
        return TR_OK;
    if (o->span_tokens > tokens)
        return tr_fail(err, TR_EUSAGE,
                       "--span-tokens %lld are more than the calibration's %lld tokens",
                       (long long)o->span_tokens, (long long)tokens);
    layout->span_tokens = o->span_tokens ? o->span_tokens : SPAN_TOKENS;
    layout->span_tokens = layout->span_tokens < tokens ? layout->span_tokens : tokens;
    if (o->drift_tokens > layout->span_tokens)
        return tr_fail(err, TR_EUSAGE, "--drift-tokens %lld are more than the %lld span tokens",
                       (long long)o->drift_tokens, (long long)layout->span_tokens);
    layout->probes = o->drift_tokens ? o->drift_tokens : DRIFT_TOKENS;
    layout->probes = layout->probes < layout->span_tokens ? layout->probes : layout->span_tokens;
    layout->channels = job->first.config.hidden;
    return TR_OK;
}

// Where the series is computed, and with which type: once for all of it.
// Whether a device is used because there is one.
static bool finds_device(const struct tr_run_settings *settings) {
    return settings->any_device && kn_device_count() > 0;
}

static enum tr_status choose_device(struct tr_job *job, struct tr_string *notes,
                                    struct tr_err *err) {
    const struct tr_run_settings *o = job->settings;
    bool found = finds_device(o);
    job->device = found ? KN_CUDA : o->device;
    job->type = o->type;
    if (job->device == KN_CPU && o->type != KN_F32)
        return tr_fail(err, TR_EUSAGE, "--dtype %s needs a device; the CPU computes in f32",
                       kn_type_name(o->type));
    if (job->device == KN_CPU && o->device_memory)
        return tr_fail(err, TR_EUSAGE, "--device-memory needs a device; this is a run on the CPU");
    if (job->device == KN_CUDA && o->any_type)
        job->type = job->first.weights == KN_F16 ? KN_F16 : KN_BF16;
    if (!found)
        return TR_OK;
    return tr_string_format(notes, err, "computing on cuda in %s (no --device given)\n",
                            kn_type_name(job->type));
}

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

// A malformed file that an option names is the option's fault, not a checkpoint's.
static enum tr_status as_usage(enum tr_status status) {
    return status == TR_EFORMAT || status == TR_EUNSUPPORTED ? TR_EUSAGE : status;
}

// ---- costs -------------------------------------------------------------------------------------

// Side by side, so that they are micro-batches of the same rows as in the calibration.
static enum tr_status gather_cost_rows(struct tr_job *job, struct tr_err *err) {
    const struct tr_calibration *c = &job->calibration;
    const struct tr_layout *layout = &job->info.layout;
    int64_t count;
    if (__builtin_mul_overflow(layout->cost_sequences, c->seq_len, &count))
        return tr_fail(err, TR_EUSAGE, "costs on too many tokens");
    TR_TRY(TR_NEW(&job->cost_ids, count, "the rows of the costs", err));
    for (int64_t i = 0; i < layout->cost_sequences; i++)
        memcpy(job->cost_ids + i * c->seq_len, c->ids + tr_cost_sequence(layout, i) * c->seq_len,
               (size_t)c->seq_len * sizeof *c->ids);
    return TR_OK;
}

enum tr_status tr_job_plan_costs(struct tr_job *job, struct tr_err *err) {
    const struct tr_run_settings *o = job->settings;
    struct tr_layout *layout = &job->info.layout;
    if (!o->cost && !job->sets.count)
        return TR_OK;
    struct tr_cost_wishes wishes = {.text = o->cost,
                                    .sets = &job->sets,
                                    .samples =
                                        o->cost_samples ? o->cost_samples : layout->cost_sequences,
                                    .micro_batch = job->micro_batch};
    TR_TRY(tr_cost_plan_new(&job->cost, &wishes, &job->first.config, &job->drop, layout, err));
    return gather_cost_rows(job, err);
}

enum tr_status tr_job_plan_search(struct tr_job *job, struct tr_err *err) {
    const struct tr_search_wishes *wishes = job->settings->search;
    return wishes ? tr_search_plan_new(&job->search, wishes, &job->first.config, &job->drop, err)
                  : TR_OK;
}

// What the search may leave out, and how many rounds it has, are dimensions of the store.
static enum tr_status label_candidates(struct tr_job *job, struct tr_err *err) {
    const struct tr_search_plan *plan = &job->search;
    struct tr_string text = {0};
    job->info.layout.rounds = plan->rounds;
    job->info.layout.candidates = plan->count;
    enum tr_status status = tr_run_info_candidates(&job->info, err);
    for (int64_t i = 0; i < plan->count && status == TR_OK; i++) {
        tr_string_free(&text);
        status = tr_search_candidate_text(&plan->candidates[i], &text, err);
        if (status == TR_OK)
            status = tr_run_info_candidate(&job->info, i, text.data, err);
    }
    tr_string_free(&text);
    return status;
}

static enum tr_status label_sets(struct tr_job *job, struct tr_err *err) {
    struct tr_string text = {0};
    job->info.layout.drop_sets = job->sets.count;
    job->info.layout.set_distances = job->settings->set_distances;
    enum tr_status status = tr_run_info_sets(&job->info, err);
    for (int64_t i = 0; i < job->sets.count && status == TR_OK; i++) {
        const struct tr_named_set *set = &job->sets.sets[i];
        tr_string_free(&text);
        status = tr_string_append(&text, "", 0, err);
        if (status == TR_OK)
            status = tr_drop_set_text(&set->drop, &text, err);
        if (status == TR_OK)
            status = tr_run_info_set(&job->info, i, set->name, text.data, err);
    }
    tr_string_free(&text);
    return status;
}

// What a store has already of costs is gone on with, unless the settings say otherwise.
static enum tr_status meet_costs(struct tr_job *job, struct tr_err *err) {
    const struct tr_run_settings *o = job->settings;
    if (o->drop_sets)
        TR_TRY(as_usage(tr_named_sets_read(&job->sets, o->drop_sets, err)));
    if (o->drop_sets_text)
        TR_TRY(as_usage(tr_named_sets_parse(&job->sets, o->drop_sets_text, "--drop", err)));
    if (job->sets.count)
        TR_TRY(label_sets(job, err));
    TR_TRY(as_usage(tr_job_plan_search(job, err)));
    if (job->search.count)
        TR_TRY(label_candidates(job, err));
    if (o->out && !o->fresh)
        TR_TRY(tr_store_adopt_costs(o->out, &job->info, err));
    job->wanted.comparisons = job->sets.count && job->info.layout.set_distances;
    return tr_job_plan_costs(job, err);
}

int64_t tr_job_units(const struct tr_job *job) {
    return job->micro_batches + job->cost.batches * job->cost.count;
}

double tr_job_tokens(const struct tr_job *job, bool traced) {
    const struct tr_calibration *c = &job->calibration;
    double seq_len = (double)c->seq_len, tokens = traced ? 0 : (double)c->sequences * seq_len;
    if (!job->cost.count)
        return tokens;
    double rows = (double)job->info.layout.cost_sequences;
    struct tr_cost_flops flops = tr_cost_plan_flops(&job->cost, &job->first.config, 0,
                                                    job->cost.count, 1, c->seq_len, &job->wanted);
    return tokens + rows * seq_len * flops.done * (double)job->cost.count / flops.whole;
}

static enum tr_status label_sequences(struct tr_job *job, struct tr_err *err) {
    struct tr_run_info *info = &job->info;
    const struct tr_calibration *c = &job->calibration;
    TR_TRY(tr_run_info_sequences(info, err));
    for (int64_t s = 0; s < c->sequences; s++) {
        char digest[TR_DIGEST_MAX];
        tr_digest_bytes(c->ids + s * c->seq_len, (size_t)c->seq_len * 4, digest);
        TR_TRY(tr_run_info_sequence(info, s, tr_calibration_text(c, s), digest, err));
    }
    return TR_OK;
}

enum tr_status tr_job_prepare(struct tr_job *job, const struct tr_run_settings *settings,
                              struct tr_string *notes, struct tr_err *err) {
    *job = (struct tr_job){.settings = settings};
    int64_t first = 0;
    job->wanted =
        (struct tr_wanted){.head = !settings->no_nll,
                           .device = settings->device == KN_CUDA || finds_device(settings),
                           .drop = &job->drop,
                           .config = settings->config};
    TR_TRY(as_usage(find_series(job, notes, err)));
    if (settings->drop)
        TR_TRY(as_usage(tr_drop_set_read(&job->drop, settings->drop, err)));
    TR_TRY(find_first_whole(job, &first, err));
    TR_TRY(tr_job_survey(job, first, notes, err));
    tr_shape_text(&job->first.config, job->shape);
    TR_TRY(tr_config_remarks(&job->first.config, notes, err));
    TR_TRY(choose_device(job, notes, err));
    TR_TRY(as_usage(find_calibration(job, first, notes, err)));
    const struct tr_calibration *c = &job->calibration;
    job->info.layout = (struct tr_layout){.layers = job->first.config.layers,
                                          .sequences = c->sequences,
                                          .seq_len = c->seq_len,
                                          .nll = !settings->no_nll,
                                          .per_token = settings->per_token};
    TR_TRY(size_spans(job, err));
    job->micro_batch = tr_micro_batch(&job->first.config, c->seq_len, job->device == KN_CUDA);
    job->micro_batches = (c->sequences + job->micro_batch - 1) / job->micro_batch;
    TR_TRY(meet_costs(job, err));
    return label_sequences(job, err);
}

void tr_job_free(struct tr_job *job) {
    tr_follow_free(job->follow);
    tr_series_free(&job->series);
    tr_calibration_free(&job->calibration);
    tr_run_info_free(&job->info);
    tr_drop_set_free(&job->drop);
    tr_cost_plan_free(&job->cost);
    tr_search_plan_free(&job->search);
    tr_named_sets_free(&job->sets);
    free(job->cost_ids);
    free(job->todo);
    free(job->traced);
    *job = (struct tr_job){0};
}
