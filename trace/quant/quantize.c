// SPDX-License-Identifier: Apache-2.0
#include "quant/quantize.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "model/weight_source.h"
#include "quant_report.h"
#include "quantizer.h"
#include "run/affinity.h"
#include "run/progress.h"

const char *const tr_quant_method_names[TR_QUANT_METHODS] = {
    [TR_QUANT_NEAREST] = "rtn", [TR_QUANT_GPTQ] = "gptq", [TR_QUANT_AWQ] = "awq"};

static bool is_first(const struct tr_quantizer *q) {
    return q->rank == 0;
}

static void say(const struct tr_quantizer *q, const char *text) {
    if (is_first(q) && !q->settings->run.quiet && text)
        tr_say(q->settings->run.messages, text);
}

// ---- the way to work ---------------------------------------------------------------------------

static enum tr_status prepare_job(struct tr_quantizer *q, struct tr_run_settings *run,
                                  struct tr_err *err) {
    struct tr_string notes = {0};
    if (tr_file_exists(q->settings->target))
        return tr_fail(err, TR_ECONFLICT, "%s is there already", q->settings->target);
    if (!tr_quantizer_runs(q))
        run->no_rows = true;
    if (run->samples)
        run->samples += q->settings->report; // the last ones are kept out
    enum tr_status status = tr_job_prepare(&q->job, run, &notes, err);
    if (status == TR_OK && q->job.series.count != 1)
        status = tr_fail(err, TR_EUSAGE, "one checkpoint at a time");
    say(q, notes.data);
    tr_string_free(&notes);
    return status;
}

static enum tr_status open_backend(struct tr_quantizer *q, struct tr_err *err) {
    char why[256] = "";
    struct tr_device device = {0};
    q->threads = tr_affinity_threads(q->dist);
    if (q->job.device == KN_CUDA)
        tr_affinity_device(&device, q->dist);
    struct kn_options options = {
        .threads = q->threads, .type = q->job.type, .device = device.index, .error = why};
    enum kn_status status = kn_open(&q->kn, q->job.device, &options);
    if (status == KN_OK)
        return TR_OK;
    return tr_fail(err, TR_ENVIRONMENT, "cannot compute on %s: %s",
                   q->job.device == KN_CUDA ? "cuda" : "the CPU",
                   *why ? why : kn_status_text(status));
}

// What layouts of f16 scales hold, and what others store as the model's own type.
static enum kn_type scale_type(const struct tr_quantizer *q) {
    bool own = !strcmp(q->settings->layout->method, "compressed-tensors");
    return own ? q->job.first.weights : KN_F16;
}

static enum tr_status open_weights(struct tr_quantizer *q, struct tr_err *err) {
    struct tr_wanted wanted = q->job.wanted;
    wanted.head = false;
    TR_TRY(tr_held_open(&q->held, q->kn, q->job.series.entries[0].path, &wanted, err));
    q->plan = tr_held_source(q->held).plan;
    q->grid = q->settings->grid;
    q->grid.scale_type = scale_type(q);
    q->grid.clip =
        q->grid.clip && q->settings->method != TR_QUANT_AWQ; // that has a search of its own
    return tr_quantizer_check(q, err);
}

static enum tr_status share_rows(struct tr_quantizer *q, struct tr_err *err) {
    const struct tr_calibration *c = &q->job.calibration;
    q->sequences = c->sequences - q->settings->report;
    if (tr_quantizer_runs(q) && q->sequences < 1)
        return tr_fail(err, TR_EUSAGE, "the text has %lld rows, of which --report %lld leaves none",
                       (long long)c->sequences, (long long)q->settings->report);
    q->micro_batch = q->job.micro_batch < q->sequences ? q->job.micro_batch : q->sequences;
    q->batches = (q->sequences + q->micro_batch - 1) / q->micro_batch;
    return tr_quantizer_runs(q) ? tr_quantizer_make_streams(q, err) : TR_OK;
}

// ---- parts -------------------------------------------------------------------------------------

enum tr_status tr_quantizer_part_path(const struct tr_quantizer *q, int layer, char **path_p,
                                      struct tr_err *err) {
    char name[32];
    snprintf(name, sizeof name, "block-%05d.part", layer);
    return tr_path_join(path_p, q->parts, name, err);
}

// All that the codes depend on.
static enum tr_status find_identity(struct tr_quantizer *q, struct tr_err *err) {
    const struct tr_quant_settings *s = q->settings;
    const struct tr_loaded *loaded = tr_held_loaded(q->held);
    struct tr_string text = {0}, drop = {0};
    enum tr_status status = tr_string_append(&drop, "", 0, err);
    if (status == TR_OK)
        status = tr_drop_set_text(&q->job.drop, &drop, err);
    if (status == TR_OK)
        status = tr_string_format(
            &text, err, "%s %s %s %lld %lld %s %s %d %d %d %lld %d %.17g %d %s", loaded->identity,
            loaded->config_digest, q->job.calibration.ids_digest, (long long)q->sequences,
            (long long)q->micro_batch, drop.data, tr_quant_method_names[s->method], q->grid.bits,
            q->grid.symmetric, s->grid.clip, (long long)q->grid.group_size, (int)q->grid.scale_type,
            s->gptq.damping, (int)s->gptq.order, tr_quantizer_runs(q) ? q->kn->ops->name : "");
    for (int64_t i = 0; i < s->skips && status == TR_OK; i++)
        status = tr_string_format(&text, err, " %s", s->skip[i]);
    if (status == TR_OK)
        tr_digest_bytes(text.data, text.size, q->identity);
    tr_string_free(&text);
    tr_string_free(&drop);
    return status;
}

// A block's part, or what was left of one by a process that was killed over it.
static bool is_part(const char *name) {
    return fnmatch("block-?????.part", name, 0) == 0 ||
           fnmatch("block-?????.part.tmp*", name, 0) == 0;
}

static enum tr_status remove_part(const struct tr_quantizer *q, const char *name,
                                  struct tr_err *err) {
    char *path;
    TR_TRY(tr_path_join(&path, q->parts, name, err));
    enum tr_status status =
        unlink(path) == 0 || errno == ENOENT
            ? TR_OK
            : tr_fail(err, TR_EIO, "%s cannot be removed: %s", path, strerror(errno));
    free(path);
    return status;
}

static enum tr_status remove_parts(const struct tr_quantizer *q, struct tr_err *err) {
    enum tr_status status = TR_OK;
    DIR *folder = opendir(q->parts);
    if (!folder)
        return tr_fail(err, TR_EIO, "cannot read the folder %s: %s", q->parts, strerror(errno));
    for (struct dirent *entry; errno = 0, status == TR_OK && (entry = readdir(folder));)
        if (is_part(entry->d_name))
            status = remove_part(q, entry->d_name, err);
    if (status == TR_OK && errno)
        status = tr_fail(err, TR_EIO, "cannot read the folder %s: %s", q->parts, strerror(errno));
    closedir(folder);
    return status;
}

static enum tr_status open_parts(struct tr_quantizer *q, struct tr_err *err) {
    struct tr_string folder = {0};
    TR_TRY(tr_string_format(&folder, err, "%s.parts", q->settings->target));
    q->parts = folder.data;
    TR_TRY(find_identity(q, err));
    if (!is_first(q))
        return TR_OK;
    TR_TRY(tr_make_folder(q->parts, err));
    return q->settings->run.fresh ? remove_parts(q, err) : TR_OK;
}

// ---- blocks ------------------------------------------------------------------------------------

static enum tr_status say_block(const struct tr_quantizer *q, int layer, const struct tr_part *part,
                                double seconds, struct tr_err *err) {
    struct tr_string text = {0};
    double worst = 0;
    const char *name = NULL;
    for (int64_t i = 0; i < part->count; i++)
        if (part->tensors[i].error > worst) {
            worst = part->tensors[i].error;
            name = part->tensors[i].name;
        }
    TR_TRY(tr_string_format(&text, err, "block %d: %lld weights in %.1f s", layer,
                            (long long)part->count, seconds));
    enum tr_status status =
        name ? tr_string_format(&text, err, ", output error at most %.2e (%s)\n", worst, name)
             : tr_string_append(&text, "\n", 1, err);
    if (status == TR_OK && q->settings->run.verbose)
        say(q, text.data);
    tr_string_free(&text);
    return status;
}

// Rank 0: waits for the part that is being written, and says that its block is done.
static enum tr_status finish_commit(struct tr_quantizer *q, struct tr_err *err) {
    struct tr_part_commit *c = &q->commit;
    enum tr_status status = tr_part_commit_wait(c, err);
    if (status == TR_OK && c->path)
        status = say_block(q, c->layer, &c->part, c->seconds, err);
    tr_part_commit_free(c);
    return status;
}

static enum tr_status commit(struct tr_quantizer *q, int layer, const char *path,
                             struct tr_part *part, double seconds, struct tr_err *err) {
    TR_TRY(finish_commit(q, err));
    TR_TRY(tr_part_commit_begin(&q->commit, part, path, q->identity, err));
    q->commit.layer = layer;
    q->commit.seconds = seconds;
    return TR_OK;
}

static enum tr_status with_all(struct tr_quantizer *q, enum tr_status status, struct tr_err *err) {
    return dist_all_ok(q->dist, status == TR_OK) || status != TR_OK
               ? status
               : tr_fail(err, TR_ENVIRONMENT, "the part could not be written");
}

// Collective: all ranks read the part that rank 0 wrote, or do the block together.
static enum tr_status do_block(struct tr_quantizer *q, int layer, const char *path,
                               struct tr_part *part, struct tr_err *err) {
    double start = tr_now();
    TR_TRY(tr_quantize_block(q, layer, part, err));
    double seconds = tr_now() - start;
    return with_all(q, is_first(q) ? commit(q, layer, path, part, seconds, err) : TR_OK, err);
}

static enum tr_status run_block(struct tr_quantizer *q, int layer, struct tr_err *err) {
    struct tr_part part = {0};
    char *path;
    bool found = false;
    TR_TRY(tr_quantizer_part_path(q, layer, &path, err));
    enum tr_status status = tr_part_read(&part, path, q->identity, &found, err);
    if (!dist_all_ok(q->dist, status == TR_OK)) {
        if (status == TR_OK)
            status = tr_fail(err, TR_ENVIRONMENT, "another rank could not go on");
    } else if (!dist_all_ok(q->dist, found)) {
        tr_part_free(&part);
        status = do_block(q, layer, path, &part, err);
    } else if (tr_quantizer_runs(q)) {
        status = tr_replay_block(q, layer, &part, err);
    }
    tr_part_free(&part);
    free(path);
    return status;
}

// Collective.
static bool shall_stop(struct tr_quantizer *q) {
    double stop = q->settings->run.stop && *q->settings->run.stop != 0;
    dist_max(q->dist, &stop, 1);
    return q->stopped = stop > 0;
}

static int64_t first_block_step(const struct tr_quantizer *q) {
    int64_t step = 0;
    while (q->plan->steps[step].kind != TR_STEP_BLOCKS)
        step++;
    return step + 1;
}

static enum tr_status run_blocks(struct tr_quantizer *q, struct tr_err *err) {
    if (tr_quantizer_runs(q))
        TR_TRY(tr_quantizer_run(q, 0, first_block_step(q), err));
    for (int layer = 0; layer < tr_held_loaded(q->held)->config.layers && !shall_stop(q); layer++)
        TR_TRY(run_block(q, layer, err));
    return with_all(q, is_first(q) ? finish_commit(q, err) : TR_OK, err);
}

// ---- all of it ---------------------------------------------------------------------------------

static enum tr_status prepare(struct tr_quantizer *q, struct tr_run_settings *run,
                              struct tr_err *err) {
    enum tr_status status = is_first(q) ? prepare_job(q, run, err) : TR_OK;
    if (!dist_all_ok(q->dist, status == TR_OK))
        return status;
    status = tr_job_share(&q->job, run, q->dist, err);
    if (status == TR_OK)
        status = open_backend(q, err);
    if (status == TR_OK)
        status = open_weights(q, err);
    if (status == TR_OK)
        status = share_rows(q, err);
    if (status == TR_OK)
        status = open_parts(q, err);
    return dist_all_ok(q->dist, status == TR_OK) || status != TR_OK
               ? status
               : tr_fail(err, TR_ENVIRONMENT, "another rank could not begin");
}

static enum tr_status finish(struct tr_quantizer *q, struct tr_string *told, struct tr_err *err) {
    tr_quantizer_free_streams(q);
    if (!is_first(q))
        return TR_OK;
    if (q->settings->run.verbose)
        say(q, "all blocks are done: writing the folder\n");
    TR_TRY(tr_quantizer_write(q, told, err));
    if (q->settings->report) {
        TR_TRY(tr_report_errors(q, told, err));
        TR_TRY(tr_report_losses(q, told, err));
    }
    TR_TRY(remove_parts(q, err));
    return rmdir(q->parts) == 0
               ? TR_OK
               : tr_fail(err, TR_EIO, "%s cannot be removed: it has other files", q->parts);
}

static void close_quantizer(struct tr_quantizer *q) {
    tr_part_commit_free(&q->commit);
    tr_quantizer_free_streams(q);
    tr_held_close(q->held);
    free(q->parts);
    if (q->kn)
        q->kn->ops->close(q->kn);
    tr_job_free(&q->job);
}

enum tr_status tr_quantize(const struct tr_quant_settings *settings, struct dist *dist,
                           bool *stopped_p, struct tr_string *told, struct tr_err *err) {
    struct tr_run_settings run = settings->run;
    struct tr_quantizer q = {
        .settings = settings, .dist = dist, .rank = dist_rank(dist), .ranks = dist_size(dist)};
    run.out = NULL;
    enum tr_status status = prepare(&q, &run, err);
    if (status == TR_OK)
        status = run_blocks(&q, err);
    if (status == TR_OK && !q.stopped)
        status = finish(&q, told, err);
    *stopped_p = q.stopped;
    close_quantizer(&q);
    return status;
}
