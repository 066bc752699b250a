// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SERIES_STAGES_H
#define TR_SERIES_STAGES_H

#include "series_steps.h"

// The stages of a series and their order. Internal.

struct tr_stage {
    const char *name; // borrowed from an entry
    int64_t key;      // of its words
    int64_t row;      // the first of its rows
    double low, high; // its tokens
};

struct tr_stages {
    struct tr_stage *list; // [count], freed with free()
    int64_t count;
    bool all_tokens; // every entry that is not the end has tokens
    bool all_given;  // from the manifest
};

// Whether an entry comes last wherever the others are: main, final and the like.
bool tr_entry_is_end(const struct tr_series_entry *entry);

enum tr_status tr_stages_find(struct tr_stages *stages, const struct tr_series *series,
                              struct tr_err *err);
// Orders the stages, and says how in the series' notes when there are several.
enum tr_status tr_stages_order(struct tr_stages *stages, struct tr_series *series, bool manifest,
                               bool separate, struct tr_err *err);
// Whether the order is the one that words give by themselves.
bool tr_stages_by_words(const struct tr_stages *stages);

#endif
