// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "store/copy.h"

#include "excerpt_check.h"
#include "hdf5_util.h"
#include "trace_writer.h"

static bool is_store(const struct tr_excerpt *excerpt, const struct tr_layout *layout) {
    return excerpt->count[TR_DIM_LAYER] == layout->layers &&
           excerpt->count[TR_DIM_MODULE] == TR_MODULES;
}

// Readers of stores take a layer's position for its number, so a file that lacks layers or modules
// must not call itself a store.
static enum tr_status mark_excerpt(const struct tr_writer *writer, const struct tr_trace *trace,
                                   struct tr_err *err) {
    const struct tr_excerpt *excerpt = writer->excerpt;
    if (writer->form == TR_FORM_NETCDF)
        TR_TRY(tr_hdf5_put_text(writer->file, writer->path, "title",
                                "Importance of a language model's layers over training", err));
    if (is_store(excerpt, &tr_trace_info(trace)->layout))
        return TR_OK;
    if (H5Adelete(writer->file, "schema") < 0)
        return tr_hdf5_fail(err, TR_EIO, "writing the attributes of %s failed", writer->path);
    return tr_hdf5_put_text(writer->file, writer->path, "schema", "trace-ckpts excerpt", err);
}

static enum tr_status write_rows(struct tr_writer *writer, const struct tr_trace *trace,
                                 struct tr_err *err) {
    TR_TRY(mark_excerpt(writer, trace, err));
    for (int64_t i = 0; i < writer->rows; i++)
        TR_TRY(
            tr_writer_excerpt(writer, i, trace, writer->excerpt->index[TR_DIM_CHECKPOINT][i], err));
    return TR_OK;
}

// A copy that is a store is opened as one, and its sequences' labels are compared.
static enum tr_status check_store(const struct tr_trace *trace, const char *path,
                                  struct tr_err *err) {
    struct tr_trace *copy;
    TR_TRY(tr_trace_open(&copy, path, err));
    const struct tr_run_info *there = tr_trace_info(copy), *here = tr_trace_info(trace);
    bool same = there->layout.sequences == here->layout.sequences;
    for (int64_t i = 0; same && i < here->layout.sequences; i++)
        same = !strcmp(there->text[i], here->text[i]) &&
               !strcmp(there->ids_digest[i], here->ids_digest[i]);
    tr_trace_close(copy);
    return same ? TR_OK
                : tr_fail(err, TR_EIO,
                          "writing %s failed: read back, the labels of the sequences are not what "
                          "was written",
                          path);
}

enum tr_status tr_excerpt_write(const struct tr_trace *trace, const struct tr_excerpt *excerpt,
                                enum tr_form form, const char *path, struct tr_err *err) {
    struct tr_writer writer;
    tr_hdf5_enter();
    enum tr_status status =
        tr_writer_open_copy(&writer, path, tr_trace_info(trace), form, excerpt, err);
    if (status == TR_OK) {
        status = write_rows(&writer, trace, err);
        if (status == TR_OK)
            status = tr_writer_close(&writer, err);
        else
            tr_writer_discard(&writer);
    }
    if (status == TR_OK)
        status = tr_excerpt_check(trace, excerpt, path, err);
    if (status == TR_OK && is_store(excerpt, &tr_trace_info(trace)->layout))
        status = check_store(trace, path, err);
    tr_hdf5_leave();
    return status;
}
