// SPDX-License-Identifier: Apache-2.0
#include "drop_job.h"

#include <string.h>

#include "base/json.h"
#include "model/slab_reader.h"

bool tr_job_drops(const struct tr_drop_job *job, enum tr_module module, int64_t layer) {
    bool attn = job->dropped.attention[layer], mlp = job->dropped.mlp[layer];
    return module == TR_ATTN ? attn : module == TR_MLP ? mlp : attn && mlp;
}

enum tr_status tr_job_goes_on(const struct tr_drop_job *job, struct tr_err *err) {
    const volatile sig_atomic_t *stop = job->options->stop;
    if (stop && *stop)
        return tr_fail(err, TR_EIO, "stopped by a signal: %s was not made", job->options->target);
    return TR_OK;
}

static enum tr_status read_config(struct tr_drop_job *job, struct tr_err *err) {
    size_t size;
    const char *json = tr_checkpoint_config(job->checkpoint, &size);
    job->config_path = tr_checkpoint_config_path(job->checkpoint);
    TR_TRY(tr_config_parse(&job->config, json, size, job->config_path, err));
    TR_TRY(tr_json_parse(&job->root, json, size, job->config_path, err));
    return tr_drop_lists_read(&job->dropped, job->root, job->config.layers,
                              job->config.family->block_sizes, job->config_path, err);
}

static enum tr_status read_set(struct tr_drop_job *job, struct tr_err *err) {
    bool whole = job->options->packing && !job->options->drop;
    if (!whole)
        TR_TRY(tr_drop_set_read(&job->drop, job->options->drop, err));
    if (!job->drop.count && !whole)
        return tr_fail(err, TR_EUSAGE, "the drop set is empty: there is nothing to leave out");
    TR_TRY(tr_drop_set_check(&job->drop, job->config.layers, err));
    for (int64_t layer = 0; layer < job->config.layers; layer++) {
        job->dropped.attention[layer] |= tr_drop_set_has(&job->drop, TR_ATTN, layer);
        job->dropped.mlp[layer] |= tr_drop_set_has(&job->drop, TR_MLP, layer);
        bool stays = !tr_job_drops(job, TR_BLOCK, layer);
        job->number[layer] = stays ? job->kept_count : -1;
        if (stays)
            job->kept[job->kept_count++] = layer;
    }
    return job->kept_count
               ? TR_OK
               : tr_fail(err, TR_EUSAGE, "the drop set leaves out every sublayer of the model");
}

// A source that could not be run is refused before anything is written.
static enum tr_status examine(struct tr_drop_job *job, struct tr_err *err) {
    struct tr_loaded loaded;
    const struct tr_wanted wanted = {.head = true, .drop = &job->drop};
    TR_TRY(tr_loaded_examine(&loaded, job->options->source, &wanted, err));
    tr_config_note_head(&job->config, !loaded.config.tied);
    return TR_OK;
}

enum tr_status tr_drop_job_open(struct tr_drop_job *job,
                                const struct tr_drop_write_options *options, struct tr_err *err) {
    *job = (struct tr_drop_job){.options = options};
    TR_TRY(tr_checkpoint_open(&job->checkpoint, options->source, err));
    TR_TRY(read_config(job, err));
    TR_TRY(read_set(job, err));
    return examine(job, err);
}

void tr_drop_job_close(struct tr_drop_job *job) {
    tr_drop_set_free(&job->drop);
    json_decref(job->root);
    tr_checkpoint_close(job->checkpoint);
}
