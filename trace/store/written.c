// SPDX-License-Identifier: Apache-2.0
#include "written.h"

#include <string.h>

#include "hdf5_util.h"
#include "trace_reader.h"

static enum tr_status differs(const char *path, const char *what, struct tr_err *err) {
    return tr_fail(err, TR_EIO, "writing %s failed: read back, %s is not what was written", path,
                   what);
}

// What a comparison ended with: a difference, or what kept it from being made.
static enum tr_status compared(enum tr_status status, const struct tr_err *cause, const char *path,
                               const char *what, struct tr_err *err) {
    if (status == TR_EFORMAT)
        return differs(path, what, err);
    return status == TR_OK ? TR_OK : tr_fail(err, status, "%s", cause->text);
}

static enum tr_status check_row(const struct tr_trace *trace, const char *path, int64_t index,
                                const char *digest, struct tr_err *err) {
    const char *name = tr_trace_string(trace, TR_V_NAME, index);
    if (*digest && strcmp(digest, tr_trace_digest(trace, index)))
        return differs(path, name, err);
    struct tr_err cause;
    enum tr_status status = tr_trace_check_row(trace, index, &cause);
    return compared(status, &cause, path, name, err);
}

static enum tr_status check(const struct tr_trace *trace, const char *path,
                            const struct tr_run_info *info, const char *const *digests,
                            int64_t count, struct tr_err *err) {
    const char *what = tr_run_info_difference(info, tr_trace_info(trace));
    if (what)
        return differs(path, what, err);
    if (tr_trace_rows(trace) != count)
        return differs(path, "the number of rows", err);
    struct tr_err cause;
    tr_hdf5_enter();
    enum tr_status status = tr_trace_check_scale(trace, TR_DIM_CHECKPOINT, &cause);
    tr_hdf5_leave();
    TR_TRY(compared(status, &cause, path, tr_dim_name(TR_DIM_CHECKPOINT), err));
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++)
        if (tr_variable_present(id, &info->layout) && !tr_trace_has(trace, id))
            return differs(path, tr_variables[id].name, err);
    for (int64_t i = 0; i < count; i++)
        TR_TRY(check_row(trace, path, i, digests[i], err));
    return TR_OK;
}

enum tr_status tr_written_check(const char *path, const struct tr_run_info *info,
                                const char *const *digests, int64_t count, struct tr_err *err) {
    struct tr_trace *trace;
    struct tr_err cause;
    enum tr_status status = tr_trace_open(&trace, path, &cause);
    if (status == TR_EFORMAT)
        status = TR_EIO; // whatever it says, it was written a moment ago
    if (status != TR_OK)
        return tr_fail(err, status, "writing %s failed: %s", path, cause.text);
    status = check(trace, path, info, digests, count, err);
    tr_trace_close(trace);
    return status;
}
