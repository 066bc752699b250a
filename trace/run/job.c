// SPDX-License-Identifier: Apache-2.0
// What rank 0 finds out before work starts: which checkpoints, over which tokens, into which store.
#include "run/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "job_costs.h"
#include "model/forward.h"
#include "run/following.h"
#include "survey.h"
#include "tokenize.h"

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
    TR_TRY(tr_as_usage(find_series(job, notes, err)));
    if (settings->drop)
        TR_TRY(tr_as_usage(tr_drop_set_read(&job->drop, settings->drop, err)));
    TR_TRY(find_first_whole(job, &first, err));
    TR_TRY(tr_job_survey(job, first, notes, err));
    tr_shape_text(&job->first.config, job->shape);
    TR_TRY(tr_config_remarks(&job->first.config, notes, err));
    TR_TRY(choose_device(job, notes, err));
    TR_TRY(tr_as_usage(find_calibration(job, first, notes, err)));
    const struct tr_calibration *c = &job->calibration;
    job->info.layout = (struct tr_layout){.layers = job->first.config.layers,
                                          .sequences = c->sequences,
                                          .seq_len = c->seq_len,
                                          .nll = !settings->no_nll,
                                          .per_token = settings->per_token};
    TR_TRY(size_spans(job, err));
    job->micro_batch = tr_micro_batch(&job->first.config, c->seq_len, job->device == KN_CUDA);
    job->micro_batches = (c->sequences + job->micro_batch - 1) / job->micro_batch;
    TR_TRY(tr_job_meet_costs(job, err));
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
