// SPDX-License-Identifier: Apache-2.0
#include "merge_info.h"

#include <stdio.h>
#include <string.h>

#include "runs_told.h"
#include "store_state.h"

static const struct tr_comparison of_files = {.here = "what it is to be merged with",
                                              .some = "some of the files",
                                              .advice = "they are not of one series"};

static const char *text_of(const struct tr_run_info *info, const char *name) {
    const struct tr_attribute *attribute = tr_run_info_find(info, name);
    return attribute && !attribute->is_number ? attribute->text : NULL;
}

static bool same_text(const char *a, const char *b) {
    return a && b ? !strcmp(a, b) : a == b;
}

// ---- attributes of the moment ------------------------------------------------------------------

static void add_seconds(struct tr_merged_info *merged, const char *text, int64_t rows) {
    double each;
    if (!text || !tr_parse_f64(text, 0, 1e12, &each))
        return;
    merged->seconds += each * (double)rows;
    merged->timed += (double)rows;
}

// The earliest; ISO times sort as text.
static enum tr_status add_created(struct tr_run_info *info, const char *there, struct tr_err *err) {
    const char *here = text_of(info, "created");
    if (!there || (here && strcmp(here, there) <= 0))
        return TR_OK;
    return tr_run_info_text(info, TR_VOLATILE, "created", there, err);
}

static void compare_planned(struct tr_merged_info *merged, const struct tr_run_info *there) {
    const struct tr_attribute *a = tr_run_info_find(&merged->info, "planned");
    const struct tr_attribute *b = tr_run_info_find(there, "planned");
    merged->unplanned |= !a || !b || !a->is_number || !b->is_number || a->number != b->number;
}

static enum tr_status add_moment(struct tr_merged_info *merged, const struct tr_run_info *there,
                                 int64_t rows, struct tr_err *err) {
    const char *order = text_of(there, "row_order");
    merged->orders_differ |= !same_text(text_of(&merged->info, "row_order"), order);
    if (order && !tr_run_info_find(&merged->info, "row_order"))
        TR_TRY(tr_run_info_text(&merged->info, TR_VOLATILE, "row_order", order, err));
    compare_planned(merged, there);
    add_seconds(merged, text_of(there, "seconds_per_checkpoint"), rows);
    TR_TRY(add_created(&merged->info, text_of(there, "created"), err));
    return tr_history_add(&merged->history, there, err);
}

// ---- all of it ---------------------------------------------------------------------------------

enum tr_status tr_merged_info_add(struct tr_merged_info *merged, const struct tr_run_info *there,
                                  int64_t rows, const char *path, struct tr_string *warnings,
                                  struct tr_err *err) {
    if (!merged->begun)
        TR_TRY(tr_run_info_copy(&merged->info, there, err));
    merged->begun = true;
    TR_TRY(tr_store_adopt(&merged->info, there, err));
    TR_TRY(tr_store_compare(&of_files, &merged->info, there, path, warnings, err));
    return add_moment(merged, there, rows, err);
}

// What a run over all of them would have recorded and gained is what the one that began with the
// first row did.
static enum tr_status follow_first(struct tr_run_info *info, const struct tr_run_info *first,
                                   struct tr_err *err) {
    for (int64_t i = 0; i < first->count; i++) {
        const struct tr_attribute *a = &first->attributes[i];
        if (a->role != TR_RECORDED && a->role != TR_GAINED)
            continue;
        TR_TRY(a->is_number ? tr_run_info_number(info, a->role, a->name, a->number, err)
                            : tr_run_info_text(info, a->role, a->name, a->text, err));
    }
    return TR_OK;
}

// Shards of one series were all to trace the same; of others nobody knows how many there will be.
static enum tr_status end_planned(struct tr_merged_info *merged, int64_t rows, struct tr_err *err) {
    const struct tr_attribute *planned = tr_run_info_find(&merged->info, "planned");
    if (merged->unplanned)
        return tr_run_info_number(&merged->info, TR_VOLATILE, "planned", rows, err);
    if (!planned || planned->number >= rows)
        return TR_OK;
    return tr_run_info_number(&merged->info, TR_VOLATILE, "planned", rows, err);
}

enum tr_status tr_merged_info_end(struct tr_merged_info *merged, const struct tr_run_info *first,
                                  int64_t rows, struct tr_err *err) {
    struct tr_run_info *info = &merged->info;
    char text[32];
    TR_TRY(follow_first(info, first, err));
    TR_TRY(end_planned(merged, rows, err));
    if (merged->history.size)
        TR_TRY(tr_run_info_text(info, TR_VOLATILE, "history", merged->history.data, err));
    if (!merged->timed)
        return TR_OK;
    snprintf(text, sizeof text, "%.3g", merged->seconds / merged->timed);
    return tr_run_info_text(info, TR_VOLATILE, "seconds_per_checkpoint", text, err);
}

void tr_merged_info_free(struct tr_merged_info *merged) {
    tr_run_info_free(&merged->info);
    tr_string_free(&merged->history);
}
