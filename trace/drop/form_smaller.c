// SPDX-License-Identifier: Apache-2.0
// Whole blocks are gone, and those that stay are numbered from 0 on: an ordinary checkpoint. Of a
// model whose "block_configs" says what each block lacks, single sublayers may be gone, too.
#include "cut_config.h"
#include "form.h"

static enum tr_status check_blocks(const struct tr_drop_job *job, struct tr_err *err) {
    for (int64_t layer = 0; layer < job->config.layers; layer++) {
        bool attn = tr_job_drops(job, TR_ATTN, layer), mlp = tr_job_drops(job, TR_MLP, layer);
        if (attn != mlp)
            return tr_fail(err, TR_EUSAGE,
                           "a smaller checkpoint lacks whole blocks, and of block %lld only %s is "
                           "left out: drop the block, or write it as zeroed",
                           (long long)layer, attn ? "attention" : "the MLP");
    }
    return TR_OK;
}

// What may not become the first block is read well where it is the first already.
static enum tr_status check_first(const struct tr_drop_job *job, struct tr_err *err) {
    int64_t first = job->kept[0];
    bool before = first == 0 && tr_config_has(&job->config, 0, TR_LAYER_NO_ATTN);
    return before ? TR_OK : tr_check_deci_first(job, first, err);
}

// What a layer computes may depend on its number.
static enum tr_status check_numbers(const struct tr_drop_job *job, struct tr_err *err) {
    int64_t last = job->kept[job->kept_count - 1];
    if (job->config.family->first_attn_bare && job->kept[0] != 0)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: in %s the first block's attention has no norm before it, and block "
                       "%lld, which would be the first, has one",
                       job->config_path, job->config.family->model_type, (long long)job->kept[0]);
    if (job->config.layer_scale && last != job->kept_count - 1)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "%s: attention is scaled by the layer's number "
                       "(\"scale_attn_by_inverse_layer_idx\"), and block %lld would be block %lld",
                       job->config_path, (long long)last, (long long)job->kept_count - 1);
    return TR_OK;
}

static enum tr_status check(const struct tr_drop_job *job, struct tr_err *err) {
    TR_TRY(job->config.family->block_sizes ? check_first(job, err) : check_blocks(job, err));
    return check_numbers(job, err);
}

static enum tr_fate fate(const struct tr_drop_job *job, int64_t layer, enum tr_weight role) {
    return tr_job_drops(job, TR_BLOCK, layer) ? TR_TENSOR_GONE
                                              : tr_fate_by_sublayer(job, layer, role);
}

const struct tr_drop_form tr_form_smaller = {
    .name = "smaller",
    .renumbers = true,
    .saves = "Fewer blocks: parameters, memory, key-value cache and time shrink with them.",
    .loads = "Whatever loads the original loads it.",
    .check = check,
    .fate = fate,
    .configure = tr_cut_config,
    .as_read = tr_forget_drops,
};
