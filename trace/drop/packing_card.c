// SPDX-License-Identifier: Apache-2.0
#include "packing_card.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/strings.h"
#include "form.h"
#include "packing_config.h"
#include "tensor_fate.h"

static int64_t count_packed(const struct tr_drop_job *job) {
    int64_t count = 0;
    for (int64_t i = 0; i < tr_checkpoint_tensor_count(job->checkpoint); i++)
        count +=
            tr_packing_fate_of(job, tr_checkpoint_tensor(job->checkpoint, i)) == TR_PACKING_CODES;
    return count;
}

enum tr_status tr_packing_tell(const struct tr_drop_job *job, struct tr_string *told,
                               struct tr_err *err) {
    enum { MOST = 8 };
    const struct tr_packing *p = job->options->packing;
    json_t *left_out;
    TR_TRY(tr_list_left_out(job, &left_out, err));
    size_t count = json_array_size(left_out);
    enum tr_status status = tr_string_format(
        told, err, "%lld weights in %d bits (%s) as %s, %s", (long long)count_packed(job), p->bits,
        p->method, p->layout->name, p->symmetric ? "symmetric" : "asymmetric");
    if (status == TR_OK)
        status = p->group_size < 0 ? tr_string_format(told, err, ", by rows")
                                   : tr_string_format(told, err, ", in groups of %lld inputs",
                                                      (long long)p->group_size);
    for (size_t i = 0; i < count && i < MOST && status == TR_OK; i++)
        status = tr_string_format(told, err, "%s%s", i ? ", " : "; as they were: ",
                                  json_string_value(json_array_get(left_out, i)));
    if (status == TR_OK)
        status = count > MOST ? tr_string_format(told, err, " and %zu more.\n", count - MOST)
                              : tr_string_format(told, err, ".\n");
    json_decref(left_out);
    return status;
}

static enum tr_status add_meta(const json_t *meta, struct tr_string *card, struct tr_err *err) {
    char *text = meta ? json_dumps(meta, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    enum tr_status status =
        text ? tr_string_format(card, err, "\n## How codes were found\n\n```json\n%s\n```\n", text)
             : TR_OK;
    free(text);
    return status;
}

static enum tr_status add_all(const struct tr_drop_job *job, const char *told,
                              struct tr_string *card, struct tr_err *err) {
    const struct tr_packing *packing = job->options->packing;
    TR_TRY(tr_string_format(card, err, "# Weights in few bits\n\nWritten from `%s` by %s.\n\n%s",
                            job->options->source, job->options->made_by, told));
    TR_TRY(add_meta(packing->meta, card, err));
    return tr_string_format(card, err, "\n## What loads it\n\n%s\n", tr_packing_loads(packing));
}

enum tr_status tr_packing_card_write(const struct tr_drop_job *job, const char *told,
                                     const char *folder, struct tr_err *err) {
    struct tr_string card = {0};
    char *path = NULL;
    enum tr_status status = add_all(job, told, &card, err);
    if (status == TR_OK)
        status = tr_path_join(&path, folder, "QUANTIZED.md", err);
    if (status == TR_OK)
        status = tr_file_replace(path, card.data, card.size, err);
    tr_string_free(&card);
    free(path);
    return status;
}
