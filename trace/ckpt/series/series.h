// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SERIES_H
#define TR_SERIES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "base/strings.h"
#include "ckpt/name.h"

// The checkpoints of one training run, in training order: what `--ckpts dir/*` or a manifest
// names, before any weights have been opened.

struct tr_series_entry {
    char *path; // as given, without trailing slashes
    char *name; // last component, or what the manifest calls it; unique in the series, UTF-8
    struct tr_name parsed;
    int64_t row;                  // among what was given
    unsigned given;               // what the manifest says itself: bits of enum tr_series_given
    char identity[TR_DIGEST_MAX]; // of a watch: what it found whole; else ""
};

enum tr_series_given {
    TR_GIVEN_NAME = 1,
    TR_GIVEN_STAGE = 2,
    TR_GIVEN_STEP = 4,
    TR_GIVEN_TOKENS = 8
};

struct tr_series {
    struct tr_series_entry *entries; // [count], in the order used
    int64_t count;
    int64_t skipped_files;   // plain files among the arguments
    char first_skipped[128]; // the first one's name, for the message
    const char *order;       // how they were ordered, e.g. "by stage, then step"; static text
    struct tr_string rule;   // of tr_moments_sort; without data where there is nothing to say
    struct tr_string notes;  // what people should know of names and order, a line each
};

struct tr_series_options {
    int64_t tokens_per_step;  // > 0: fills unknown tokens of entries that have a step
    const char *name_pattern; // of tr_name_rules_new; NULL: none
    bool separate;            // what was trained side by side becomes stages of its own
};

// Builds the series from paths as the shell expanded them: folders, and files that are checkpoints
// by themselves (.ckpt, .pt, .pth). Other plain files are skipped and counted; a path that does not
// exist is TR_EIO, a series without a checkpoint TR_EUSAGE.
//
// A folder's name is its last component, in the Hub's cache (snapshots/COMMIT) the branch. Where
// that is only how a trainer lays out its folders (step1000/hf) it is the component above that
// tells a step; where last components are equal, it is what differs in the paths. A stage that a
// name does not tell is that of the nearest folder above which tells a known one and is not above
// all (pretrain/step1000, anneal/step500).
// Entries that still have equal names are TR_EUSAGE naming both paths: a trace knows its rows by
// name.
//
// Steps and tokens come from what the trainer recorded (trainer_state.json and the files of
// trainer_counters.c's table), else from the names. The order is that of
// tr_moments_sort. Checkpoints of one step that were trained side by side (seeds, ingredients of a
// merge) are no line of time: TR_EUSAGE unless `separate`.
enum tr_status tr_series_from_paths(struct tr_series *series, char *const *paths, int64_t count,
                                    const struct tr_series_options *options, struct tr_err *err);

// Reads a manifest: CSV with a header naming at least `path`, optionally `name`, `stage`, `step`,
// `tokens` (RFC 4180 quoting, any column order, any case; empty = not given; other columns are left
// alone). Relative paths are relative to the manifest's folder. What the manifest gives overrides
// what the names tell; `name` is the way out when folders of different runs have equal names. Same
// rules and order as above, but stages come in the order of their first rows, or by tokens where
// the manifest gives all of them and no two stages overlap, and entries of a stage without step and
// tokens in that of their rows.
enum tr_status tr_series_from_manifest(struct tr_series *series, const char *manifest_path,
                                       const struct tr_series_options *options, struct tr_err *err);

void tr_series_free(struct tr_series *series);

#endif
