// SPDX-License-Identifier: Apache-2.0
#include "drop/write.h"

#include <stdlib.h>

#include "base/alloc.h"

#include "base/file.h"
#include "card.h"
#include "carry.h"
#include "config_file.h"
#include "form.h"
#include "model/slab_reader.h"
#include "packing_card.h"
#include "packing_config.h"
#include "reload.h"
#include "staging.h"
#include "tensor_plan.h"

// What is known of a written folder.
struct written {
    struct tr_tensor_plan plan;
    struct tr_string left_out;
    struct tr_reloaded reloaded;
    struct tr_string told;
};

// ---- what is said ------------------------------------------------------------------------------

static enum tr_status tell_check(struct tr_string *told, const struct tr_drop_job *job,
                                 const struct tr_reloaded *reloaded, struct tr_err *err) {
    if (job->options->packing)
        return tr_packing_tell(job, told, err);
    if (job->options->unchecked)
        return tr_string_format(told, err, "It was not run (--no-check).\n");
    if (reloaded->loss == 0 && reloaded->stream == 0)
        return tr_string_format(told, err,
                                "Read again and run over %lld rows of %lld tokens: losses and the "
                                "last residual stream equal the original's without the set to the "
                                "bit.\n",
                                (long long)reloaded->rows, (long long)reloaded->seq_len);
    return tr_string_format(told, err,
                            "Read again and run over %lld rows of %lld tokens: losses are within "
                            "%.1e nats of the original's without the set, the last residual stream "
                            "within %.1e of its largest entry.\n",
                            (long long)reloaded->rows, (long long)reloaded->seq_len, reloaded->loss,
                            reloaded->stream);
}

static enum tr_status tell(struct written *written, const struct tr_drop_job *job,
                           struct tr_err *err) {
    struct tr_string *told = &written->told;
    struct tr_string set = {0};
    char before[TR_HUMAN_MAX], after[TR_HUMAN_MAX];
    enum tr_status status = tr_drop_set_text(&job->drop, &set, err);
    if (status == TR_OK)
        status = tr_string_format(told, err, "%s: %s%s%s, %s of tensors instead of %s.\n",
                                  job->options->target, job->options->source,
                                  job->drop.count ? " without " : "", set.data ? set.data : "",
                                  tr_human_bytes((double)written->plan.bytes, after),
                                  tr_human_bytes((double)written->plan.bytes_before, before));
    if (status == TR_OK && job->drop.count)
        status = tr_string_format(told, err, "%s\n", job->options->form->saves);
    tr_string_free(&set);
    TR_TRY(status);
    if (written->left_out.size)
        TR_TRY(tr_string_format(told, err, "Not carried over: %s.\n", written->left_out.data));
    return tell_check(told, job, &written->reloaded, err);
}

// ---- the folder --------------------------------------------------------------------------------

// config.json as it shall be, or as its readers read that. `folder` NULL: it is made, and no more.
static enum tr_status write_config(const struct tr_drop_job *job, const char *folder, bool as_read,
                                   struct tr_err *err) {
    json_t *root = json_deep_copy(job->root);
    if (!root)
        return tr_fail(err, TR_ENOMEM, "out of memory for config.json");
    enum tr_status status = job->options->form->configure(job, root, err);
    if (status == TR_OK && job->options->packing)
        status = tr_packing_configure(job, root, err);
    if (status == TR_OK && as_read)
        status = job->options->form->as_read(job, root, err);
    if (status == TR_OK && folder)
        status = tr_config_write(root, folder, err);
    json_decref(root);
    return status;
}

// Runs what was written by its readers' rules: with the config.json that they make of the real one.
// Weights in few bits are other weights: they are planned.
static enum tr_status check(struct written *written, const struct tr_drop_job *job,
                            const char *folder, struct tr_err *err) {
    const struct tr_wanted wanted = {.head = true};
    struct tr_loaded loaded;
    TR_TRY(tr_job_goes_on(job, err));
    if (job->options->unchecked)
        return TR_OK;
    TR_TRY(write_config(job, folder, true, err));
    if (job->options->packing)
        return tr_loaded_examine(&loaded, folder, &wanted, err);
    return tr_reload(&written->reloaded, job, folder, err);
}

static enum tr_status fill(struct written *written, const struct tr_drop_job *job,
                           const char *folder, struct tr_err *err) {
    TR_TRY(tr_tensor_plan_new(&written->plan, job, err));
    TR_TRY(tr_tensor_plan_write(&written->plan, job, folder, err));
    TR_TRY(tr_carry_others(job, folder, &written->left_out, err));
    TR_TRY(check(written, job, folder, err));
    TR_TRY(write_config(job, folder, false, err));
    if (job->options->packing)
        TR_TRY(tr_packing_write_beside(job, folder, err));
    TR_TRY(tell(written, job, err));
    if (job->options->packing)
        TR_TRY(tr_packing_card_write(job, written->told.data, folder, err));
    if (job->drop.count)
        TR_TRY(tr_card_write(job, written->told.data, folder, err));
    return tr_job_goes_on(job, err);
}

static enum tr_status write_recipe(struct written *written, const struct tr_drop_job *job,
                                   const char *folder, struct tr_err *err) {
    struct tr_string text = {0};
    char *path = NULL;
    enum tr_status status = job->options->form->recipe(job, &text, err);
    if (status == TR_OK)
        status = tr_path_join(&path, folder, "mergekit.yaml", err);
    if (status == TR_OK)
        status = tr_file_replace(path, text.data, text.size, err);
    free(path);
    tr_string_free(&text);
    TR_TRY(status);
    TR_TRY(tr_string_format(&written->told, err, "%s\n", job->options->form->saves));
    return tr_card_write(job, written->told.data, folder, err);
}

static enum tr_status write_folder(struct written *written, const struct tr_drop_job *job,
                                   struct tr_err *err) {
    struct tr_staging staging;
    TR_TRY(tr_staging_open(&staging, job->options->target, job->options->source, err));
    bool recipe = job->options->form->recipe;
    enum tr_status status = (recipe ? write_recipe : fill)(written, job, staging.folder, err);
    if (status == TR_OK)
        status = tr_staging_publish(&staging, err);
    tr_staging_close(&staging);
    return status;
}

static enum tr_status write_job(struct tr_drop_job *job, struct tr_string *told,
                                struct tr_err *err) {
    struct written written = {0};
    if (job->options->packing)
        TR_TRY(tr_packing_check_all(job, err));
    TR_TRY(job->options->form->check(job, err));
    if (!job->options->form->recipe)
        TR_TRY(write_config(job, NULL, false, err)); // refused before tensors are written
    enum tr_status status = write_folder(&written, job, err);
    if (status == TR_OK)
        status = tr_string_append(told, written.told.data, written.told.size, err);
    tr_tensor_plan_free(&written.plan);
    tr_string_free(&written.left_out);
    tr_string_free(&written.told);
    return status;
}

enum tr_status tr_drop_write(const struct tr_drop_write_options *options, struct tr_string *told,
                             struct tr_err *err) {
    struct tr_drop_write_options complete = *options;
    struct tr_drop_job *job;
    if (!options->drop && options->packing)
        complete.form = &tr_form_whole;
    TR_TRY(tr_alloc((void **)&job, 1, sizeof *job, "a job", err));
    enum tr_status status = tr_drop_job_open(job, &complete, err);
    if (status == TR_OK)
        status = write_job(job, told, err);
    tr_drop_job_close(job);
    free(job);
    return status;
}
