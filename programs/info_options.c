// SPDX-License-Identifier: Apache-2.0
// trace-info's command line.
#include "info_options.h"

#include <stdio.h>

static bool add_file(void *settings, char *word, char why[OPTION_WHY]) {
    struct info_options *options = settings;
    snprintf(why, OPTION_WHY, "one FILE at a time");
    if (options->path)
        return false;
    options->path = word;
    return true;
}

static bool check(const void *settings, char why[OPTION_WHY]) {
    const struct info_options *options = settings;
    snprintf(why, OPTION_WHY, "which FILE?");
    return options->path != NULL;
}

static const struct option_row rows[] = {
    {"check", 'c', NULL, "Read everything and compare it with what was written", OPTION_FLAG,
     OPTION_SETS(struct info_options, check)},
};

const struct program trace_info_program = {
    .name = "trace-info",
    .arguments = "FILE",
    .summary = "Shows what is inside a trace, how far it got, and where it came from. FILE is what "
               "trace-ckpts wrote, also while it still writes, or one part of FILE.parts.",
    .exit_status = "0 all well, 2 usage, 3 environment.",
    .options = rows,
    .option_count = sizeof rows / sizeof rows[0],
    .argument = add_file,
    .check = check,
};
