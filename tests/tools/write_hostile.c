// SPDX-License-Identifier: Apache-2.0
// write_hostile OUT: a store of three checkpoints without steps whose names, and whose attributes,
// are markup and script.
#include <stdio.h>
#include <stdlib.h>

#include "store/store.h"

static const char *const texts[] = {
    "</script><script>window.injected=1</script>",
    "\"'><img src=x onerror=\"window.injected=2\"><!-- ]]> &amp; {{data}}",
    "\xe2\x80\xa8\\u003c</title><svg onload=window.injected=3>\x01 \xed\xa0\x80 10^3",
};
static const char *const attributes[] = {"model", "tokenizer", "source"};
enum { TEXTS = sizeof texts / sizeof *texts };

static enum tr_status commit(const char *out, const struct tr_run_info *info, const char *name,
                             struct tr_err *err) {
    struct tr_row row;
    TR_TRY(tr_row_new(&row, &info->layout, err));
    for (int64_t i = 0; i < 2 * TR_MODULES; i++)
        tr_row_f64(&row, TR_V_IMPORTANCE)[i] = 0.1 * (double)(i + 1);
    tr_row_u8(&row, TR_V_STATUS)[0] = TR_ROW_COMPLETE;
    enum tr_status status = tr_row_set_string(&row, TR_V_NAME, name, err);
    if (status == TR_OK)
        status = tr_row_set_string(&row, TR_V_STAGE, name, err);
    if (status == TR_OK)
        status = tr_store_commit(out, info, &row, err);
    tr_row_free(&row);
    return status;
}

static enum tr_status write_hostile(const char *out, struct tr_err *err) {
    struct tr_run_info info = {.layout = {.layers = 2, .sequences = 3, .seq_len = 16}};
    struct tr_store *store;
    char *warnings;
    TR_TRY(tr_run_info_sequences(&info, err));
    for (int i = 0; i < TEXTS; i++) {
        TR_TRY(tr_run_info_text(&info, TR_RECORDED, attributes[i], texts[i], err));
        TR_TRY(tr_run_info_sequence(&info, i, texts[i], texts[i], err));
    }
    TR_TRY(tr_store_open(&store, out, &info, true, &warnings, err));
    for (int i = 0; i < TEXTS; i++)
        TR_TRY(commit(out, &info, texts[i], err));
    TR_TRY(tr_store_publish(store, NULL, err));
    tr_store_close(store);
    free(warnings);
    tr_run_info_free(&info);
    return TR_OK;
}

int main(int argc, char **argv) {
    struct tr_err err;
    if (argc != 2)
        return 2;
    if (write_hostile(argv[1], &err) == TR_OK)
        return 0;
    fprintf(stderr, "write_hostile: %s\n", err.text);
    return 1;
}
