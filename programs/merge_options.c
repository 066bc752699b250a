// SPDX-License-Identifier: Apache-2.0
// trace-merge's command line.
#include "merge_options.h"

#include <stdio.h>
#include <stdlib.h>

#include "option.h"

#define SETS(member) OPTION_SETS(struct merge_options, member)

static bool add_file(void *settings, char *word, char why[OPTION_WHY]) {
    struct tr_merging *merging = &((struct merge_options *)settings)->merging;
    size_t count = (size_t)merging->count + 1;
    char **inputs = realloc(merging->inputs, count * sizeof *inputs);
    if (!inputs) {
        snprintf(why, OPTION_WHY, "no memory for %zu files", count);
        return false;
    }
    merging->inputs = inputs;
    inputs[merging->count++] = word;
    return true;
}

static bool check(const void *settings, char why[OPTION_WHY]) {
    const struct tr_merging *merging = &((const struct merge_options *)settings)->merging;
    snprintf(why, OPTION_WHY, "%s", !merging->count ? "which FILES?" : "where to? Give -o OUT");
    return merging->count && merging->out && program_output("output", merging->out, why);
}

static const struct option_row rows[] = {
    {"output", 'o', "OUT",
     "The store to write; it may be one of the FILES, which then gets the others' checkpoints",
     OPTION_TEXT, SETS(merging.out)},
    {"force", 0, NULL, "Replace OUT when it is there and none of the FILES", OPTION_FLAG,
     SETS(merging.force)},
    {"quiet", 'q', NULL, "Warnings and errors only", OPTION_FLAG, SETS(quiet)},
};

const struct program trace_merge_program = {
    .name = "trace-merge",
    .arguments = "-o OUT FILE...",
    .summary = "Joins stores of one series that were traced apart, by the shards of a job array or "
               "on several clusters: the same file as one run over all of their checkpoints. A "
               "FILE may also be a folder OUT.parts, whose parts no job has published. What does "
               "not belong together (options, dtype, tokens, micro-batch, texts, a checkpoint with "
               "other values in another file) is refused by name.",
    .exit_status = "0 all well, 2 usage, 3 environment.",
    .options = rows,
    .option_count = sizeof rows / sizeof rows[0],
    .argument = add_file,
    .check = check,
};
