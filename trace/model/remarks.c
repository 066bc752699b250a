// SPDX-License-Identifier: Apache-2.0
// Sentences for people about a checkpoint that is run all the same.
#include "model/config.h"

static const struct {
    enum tr_remark remark;
    const char *sentence;
} sentences[] = {
    {TR_REMARK_TWO_ROPES, "config.json has \"rope_scaling\" beside another \"rope_parameters\": "
                          "\"rope_scaling\" counts, as in transformers"},
    {TR_REMARK_OWN_HEAD, "config.json ties the head to the embedding, but the files hold a tensor "
                         "for it: that one counts, as in transformers 5"},
    {TR_REMARK_DROPPED, "config.json leaves out sublayers: they are absent here, too"},
    {TR_REMARK_OTHERS,
     "the files also hold tensors of something else than this model (averaged copies "
     "of its weights, a vision tower ...): they are not read"},
};

void tr_config_note_head(struct tr_config *config, bool own) {
    if (config->tied && own)
        config->remarks |= TR_REMARK_OWN_HEAD;
    config->tied = config->tied && !own;
}

enum tr_status tr_config_remarks(const struct tr_config *config, struct tr_string *text,
                                 struct tr_err *err) {
    for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++)
        if (config->remarks & (uint32_t)sentences[i].remark)
            TR_TRY(tr_string_format(text, err, "%s\n", sentences[i].sentence));
    return TR_OK;
}
