// SPDX-License-Identifier: Apache-2.0
#include "form.h"

#include <string.h>

static const struct tr_drop_form *const forms[] = {&tr_form_smaller,      &tr_form_zeroed,
                                                   &tr_form_llm_drop,     &tr_form_anymodel,
                                                   &tr_form_nemotron_nas, &tr_form_mergekit};
enum { FORMS = sizeof forms / sizeof *forms };

const struct tr_drop_form *tr_drop_form_find(const char *as, const char *dialect) {
    for (int i = 0; i < FORMS; i++)
        if (!strcmp(forms[i]->name, as) &&
            (!dialect || (forms[i]->dialect && !strcmp(forms[i]->dialect, dialect))))
            return forms[i];
    return NULL;
}

static bool is_first(int index) {
    return tr_drop_form_find(forms[index]->name, NULL) == forms[index];
}

enum tr_status tr_drop_form_names(struct tr_string *text, struct tr_err *err) {
    int last = FORMS - 1;
    while (!is_first(last))
        last--;
    for (int i = 0; i <= last; i++)
        if (is_first(i))
            TR_TRY(tr_string_format(text, err, "%s%s",
                                    i == 0      ? ""
                                    : i == last ? " or "
                                                : ", ",
                                    forms[i]->name));
    return TR_OK;
}

enum tr_fate tr_fate_by_sublayer(const struct tr_drop_job *job, int64_t layer,
                                 enum tr_weight role) {
    bool attn = role >= TR_W_ATTN_NORM && role <= TR_W_ATTN_POST_NORM;
    bool mlp = role >= TR_W_MLP_NORM && role <= TR_W_MLP_POST_NORM;
    bool gone =
        (attn && tr_job_drops(job, TR_ATTN, layer)) || (mlp && tr_job_drops(job, TR_MLP, layer));
    return gone ? TR_TENSOR_GONE : TR_TENSOR_STAYS;
}

enum tr_status tr_forget_drops(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    static const char *const keys[] = {"drop_attn_list", "drop_mlp_list", "per_layer_config",
                                       "block_configs"};
    bool keeps_sizes = job->config.family->block_sizes;
    (void)err;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!keeps_sizes || strcmp(keys[i], "block_configs"))
            json_object_del(root, keys[i]); // -1: it is not there
    return TR_OK;
}

enum tr_status tr_spell_head(const struct tr_drop_job *job, json_t *root, struct tr_err *err) {
    const char *key = job->config.family->keys[TR_K_TIED].json;
    bool own = job->config.remarks & TR_REMARK_OWN_HEAD;
    if (own && key && json_object_set_new(root, key, json_false()))
        return tr_fail(err, TR_ENOMEM, "out of memory for config.json");
    return TR_OK;
}
