// SPDX-License-Identifier: Apache-2.0
#include "tensor_fate.h"

#include <stdlib.h>

#include "model/layer_names.h"

// The layer that a name is of, -1: of none that the model has.
static int64_t layer_of(const struct tr_drop_job *job, const char *name) {
    const char *number = tr_layer_number(job->config.family, name);
    int64_t layer = number ? strtoll(number, NULL, 10) : -1;
    return layer < job->config.layers ? layer : -1;
}

enum tr_fate tr_fate_of(const struct tr_drop_job *job, const struct tr_tensor *tensor) {
    int64_t layer = layer_of(job, tensor->name);
    return layer < 0 ? TR_TENSOR_STAYS
                     : job->options->form->fate(job, layer,
                                                tr_layer_role(job->config.family, tensor->name));
}

enum tr_packing_fate tr_packing_fate_of(const struct tr_drop_job *job,
                                        const struct tr_tensor *tensor) {
    const struct tr_packing *packing = job->options->packing;
    return packing && tr_fate_of(job, tensor) == TR_TENSOR_STAYS
               ? packing->fate(packing->user, tensor)
               : TR_PACKING_STAYS;
}

// A layer's new number. Those behind the last, which are not of the model, stay behind it.
static int64_t new_number(const struct tr_drop_job *job, int64_t layer) {
    int64_t layers = job->config.layers;
    return layer < layers ? job->number[layer] : layer - layers + job->kept_count;
}

enum tr_status tr_new_name(char **name_p, const struct tr_drop_job *job, const char *name,
                           struct tr_err *err) {
    struct tr_string renamed = {0};
    const char *number = tr_layer_number(job->config.family, name);
    char *end = NULL;
    long long layer = number ? strtoll(number, &end, 10) : -1;
    *name_p = NULL;
    if (!job->options->form->renumbers || layer < 0 || new_number(job, layer) == layer)
        return TR_OK;
    enum tr_status status = tr_string_format(&renamed, err, "%.*s%lld%s", (int)(number - name),
                                             name, (long long)new_number(job, layer), end);
    *name_p = renamed.data;
    return status;
}
