// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SERIES_STEPS_H
#define TR_SERIES_STEPS_H

#include "ckpt/series.h"

// How a series is built, one step after the other. Internal.

// Names every entry that the manifest does not name; TR_EUSAGE when two names are equal.
enum tr_status tr_series_name(struct tr_series *series, const struct tr_name_rules *rules,
                              struct tr_err *err);

// Gives entries without a stage that of a folder above them, of those that not all share.
enum tr_status tr_series_folder_stages(struct tr_series *series, const struct tr_name_rules *rules,
                                       struct tr_err *err);

// Gives stages to entries that their names alone leave open, and tells apart or refuses what was
// trained side by side.
enum tr_status tr_series_tell_apart(struct tr_series *series, bool separate, struct tr_err *err);

// Decides the order and sorts. `manifest`: rows were written by hand.
enum tr_status tr_series_sort(struct tr_series *series, bool manifest,
                              const struct tr_series_options *options, struct tr_err *err);

// Entries that are told of in one line: how many, and the first.
struct tr_told {
    int64_t count;
    const struct tr_series_entry *first;
};
void tr_told_add(struct tr_told *told, const struct tr_series_entry *entry);
// "step7", "step7 and 2 others" into `out`, returned.
const char *tr_told_names(const struct tr_told *told, char out[320]);

// Pointers to all entries, freed with free().
enum tr_status tr_series_list(struct tr_series_entry ***list_p, const struct tr_series *series,
                              struct tr_err *err);

// Whether the entry says neither step nor tokens.
bool tr_entry_is_timeless(const struct tr_series_entry *entry);

#endif
