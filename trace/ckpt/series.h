// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SERIES_H
#define TR_SERIES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

// The checkpoints of one training run, in training order: what `--ckpts dir/*` or a manifest
// names, before any file of a checkpoint has been opened.

// What a checkpoint's directory name tells. Unknown step: -1; unknown tokens: NaN, never invented.
struct tr_name {
    char stage[64]; // "" when the name has none, e.g. "stage1", "stage2-ingredient3", "phase1"
    int64_t step;
    double tokens; // tokens seen
};

// Parses the patterns of published series: step1000, step0005000, step-125000, step-001000-2BT,
// step1000-tokens4B, stage1-step1907359-tokens4001B, stage2-ingredient3-step23852-tokens51B,
// longctx-step4000, global_step1000, iter_0028608, pretrain_iter_0373000, checkpoint-1000,
// ckpt_356, base_0720000, TinyLlama-1.1B-intermediate-step-480k-1T, step-480k-token-1007B,
// 240b_tokens, CrystalCoder_phase1_checkpoint_055500, step1000-unsharded, step_128, main.
// Never fails: what is not recognised is unknown. Numbers that do not fit are unknown too.
void tr_name_parse(const char *name, struct tr_name *out);

struct tr_series_entry {
    char *path; // as given, without trailing slashes
    char *name; // last component, or what the manifest calls it; unique in the series, UTF-8
    struct tr_name parsed;
};

struct tr_series {
    struct tr_series_entry *entries; // [count], in the order used
    int64_t count;
    int64_t skipped_files;   // plain files among the arguments
    char first_skipped[128]; // the first one's name, for the message
    const char *order;       // how they were ordered, e.g. "by stage, then step"; static text
};

// Builds the series from paths as the shell expanded them. Plain files are skipped and counted; a
// path that does not exist is TR_EUSAGE, and so is a series without a folder. Entries with equal
// names, even in different folders, are TR_EUSAGE naming both paths: a trace knows its rows by
// name. Order: by stage (natural order of the stages' names), then by step when all have one, else
// by tokens when all have them, else by natural order of the names; names break ties.
// tokens_per_step > 0 fills unknown tokens of entries that have a step.
enum tr_status tr_series_from_paths(struct tr_series *series, char *const *paths, int64_t count,
                                    int64_t tokens_per_step, struct tr_err *err);

// Reads a manifest: CSV with a header naming at least `path`, optionally `name`, `stage`, `step`,
// `tokens` (RFC 4180 quoting, any column order, any case; empty = not given; other columns are left
// alone). Relative paths are relative to the manifest's folder. What the manifest gives overrides
// what the names tell; `name` is the way out when folders of different runs have equal names. Same
// rules and order as above.
enum tr_status tr_series_from_manifest(struct tr_series *series, const char *manifest_path,
                                       int64_t tokens_per_step, struct tr_err *err);

void tr_series_free(struct tr_series *series);

#endif
