// SPDX-License-Identifier: Apache-2.0
// What a store and its parts hold already, for a job that adds to it.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/parts.h"
#include "store/store.h"
#include "store/utf8.h"
#include "store_state.h"

// ---- one row -----------------------------------------------------------------------------------

static int64_t row_named(const struct tr_trace *trace, const char *name) {
    for (int64_t i = 0; i < tr_trace_rows(trace); i++)
        if (!strcmp(tr_trace_string(trace, TR_V_NAME, i), name))
            return i;
    return -1;
}

// Fills what the trace has; a row is made with what is missing.
static enum tr_status copy_row(const struct tr_trace *trace, int64_t index,
                               const struct tr_layout *layout, struct tr_row *row,
                               struct tr_err *err) {
    const struct tr_layout *there = &tr_trace_info(trace)->layout;
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        if (!row->data[id] || !tr_trace_has(trace, id))
            continue;
        if (tr_variable_elements(id, there) != tr_variable_elements(id, layout))
            return tr_fail(err, TR_ECONFLICT,
                           "%s of the row of %s has another size than this run's",
                           tr_variables[id].name, tr_trace_string(trace, TR_V_NAME, index));
        if (tr_variables[id].type == TR_VALUE_STRING)
            TR_TRY(tr_row_set_string(row, id, tr_trace_string(trace, id, index), err));
        else
            TR_TRY(tr_trace_read(trace, id, index, 1, row->data[id], err));
    }
    return TR_OK;
}

// Whether the file has a row of that name; then it is read.
static enum tr_status read_row(const char *path, const char *name, const struct tr_layout *layout,
                               struct tr_row *row, bool *found_p, struct tr_err *err) {
    struct tr_trace *trace;
    TR_TRY(tr_trace_open(&trace, path, err));
    int64_t index = row_named(trace, name);
    enum tr_status status = index < 0 ? TR_OK : copy_row(trace, index, layout, row, err);
    *found_p = index >= 0;
    tr_trace_close(trace);
    return status;
}

enum tr_status tr_store_row(const char *out_path, const char *name, const struct tr_layout *layout,
                            struct tr_row *row, struct tr_err *err) {
    char *folder = NULL, *part = NULL, *stored = NULL;
    bool found = false;
    enum tr_status status;
    TR_GO(status, tr_utf8_copy(&stored, name, err), out);
    TR_GO(status, tr_parts_path(&folder, out_path, err), out);
    TR_GO(status, tr_part_path(&part, folder, stored, err), out);
    if (tr_file_exists(part))
        TR_GO(status, read_row(part, stored, layout, row, &found, err), out);
    if (!found && tr_file_exists(out_path))
        TR_GO(status, read_row(out_path, stored, layout, row, &found, err), out);
    if (!found)
        status = tr_fail(err, TR_EFORMAT, "%s has no row of %s any more", out_path, name);
out:
    free(stored);
    free(part);
    free(folder);
    return status;
}

// ---- costs -------------------------------------------------------------------------------------

// Whether a variable of costs has a finite value in the row.
static enum tr_status has_values(const struct tr_trace *trace, enum tr_variable_id id, int64_t row,
                                 bool *has_p, struct tr_err *err) {
    const struct tr_layout *layout = &tr_trace_info(trace)->layout;
    double *values;
    *has_p = false;
    if (!tr_trace_has(trace, id) || !tr_variable_present(id, layout))
        return TR_OK;
    int64_t count = tr_variable_elements(id, layout);
    TR_TRY(TR_NEW(&values, count, tr_variables[id].name, err));
    enum tr_status status = tr_trace_read(trace, id, row, 1, values, err);
    for (int64_t i = 0; status == TR_OK && i < count; i++)
        *has_p = *has_p || isfinite(values[i]);
    free(values);
    return status;
}

enum tr_status tr_trace_additions(const struct tr_trace *trace, int64_t row,
                                  struct tr_additions *additions, struct tr_err *err) {
    TR_TRY(has_values(trace, TR_V_DROP_NLL, row, &additions->costs, err));
    TR_TRY(has_values(trace, TR_V_SET_NLL, row, &additions->sets, err));
    return has_values(trace, TR_V_SET_JS, row, &additions->distances, err);
}

static enum tr_status adopt_sets(const struct tr_run_info *there, struct tr_run_info *info,
                                 struct tr_err *err) {
    free(info->set_name); // lists of none
    free(info->set_drop);
    info->set_name = info->set_drop = NULL;
    info->layout.drop_sets = there->layout.drop_sets;
    TR_TRY(tr_run_info_sets(info, err));
    for (int64_t i = 0; i < there->layout.drop_sets; i++)
        TR_TRY(tr_run_info_set(info, i, there->set_name[i], there->set_drop[i], err));
    return TR_OK;
}

static enum tr_status adopt_search(const struct tr_run_info *there, struct tr_run_info *info,
                                   struct tr_err *err) {
    const struct tr_attribute *of = tr_run_info_find(there, "search");
    info->layout.rounds = there->layout.rounds;
    info->layout.candidates = there->layout.candidates;
    free(info->candidate);
    info->candidate = NULL;
    TR_TRY(tr_run_info_candidates(info, err));
    for (int64_t i = 0; i < there->layout.candidates; i++)
        TR_TRY(tr_run_info_candidate(info, i, there->candidate[i], err));
    return of && !of->is_number ? tr_run_info_text(info, TR_ADDED, "search", of->text, err) : TR_OK;
}

static bool is_of_same_rows(const struct tr_layout *a, const struct tr_layout *b) {
    return a->layers == b->layers && a->sequences == b->sequences && a->seq_len == b->seq_len;
}

enum tr_status tr_store_adopt(struct tr_run_info *info, const struct tr_run_info *there,
                              struct tr_err *err) {
    const struct tr_attribute *of = tr_run_info_find(there, "cost");
    if (!is_of_same_rows(&there->layout, &info->layout))
        return TR_OK;
    if (there->layout.cost_sequences && !info->layout.cost_sequences) {
        info->layout.cost_sequences = there->layout.cost_sequences;
        info->layout.cost_batch = there->layout.cost_batch;
    }
    if (of && !of->is_number && !tr_run_info_find(info, "cost"))
        TR_TRY(tr_run_info_text(info, TR_ADDED, "cost", of->text, err));
    if (there->layout.drop_sets && !info->layout.drop_sets)
        TR_TRY(adopt_sets(there, info, err));
    if (there->layout.rounds && !info->layout.rounds)
        TR_TRY(adopt_search(there, info, err));
    info->layout.set_distances |= there->layout.set_distances;
    return TR_OK;
}

// Of a file. One that cannot be read is left to whoever opens the store in earnest and says so.
static enum tr_status adopt(const char *path, struct tr_run_info *info, struct tr_err *err) {
    struct tr_trace *trace;
    struct tr_err ignored;
    if (tr_trace_open(&trace, path, &ignored) != TR_OK)
        return TR_OK;
    enum tr_status status = tr_store_adopt(info, tr_trace_info(trace), err);
    tr_trace_close(trace);
    return status;
}

enum tr_status tr_store_adopt_costs(const char *out_path, struct tr_run_info *info,
                                    struct tr_err *err) {
    char *folder;
    bool superseded = false;
    struct tr_part_list parts = {0};
    TR_TRY(tr_parts_path(&folder, out_path, err));
    enum tr_status status = tr_parts_superseded(folder, &superseded, err);
    if (status == TR_OK && !superseded && tr_file_exists(out_path))
        status = adopt(out_path, info, err);
    if (status == TR_OK)
        status = tr_parts_list(&parts, folder, err);
    for (int64_t i = 0; i < parts.count && status == TR_OK; i++)
        status = adopt(parts.paths[i], info, err);
    tr_part_list_free(&parts);
    free(folder);
    return status;
}
