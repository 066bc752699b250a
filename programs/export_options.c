// SPDX-License-Identifier: Apache-2.0
// trace-export's command line.
#include "export/export.h"

#include <stdio.h>

#include "base/file.h"
#include "option.h"

#define SETS(member) OPTION_SETS(struct nx_options, member)

static const struct option_row rows[] = {
    {.kind = OPTION_HEADING, .help = "What to write:"},
    {"to", 't', "FORMAT", "One of the formats below", OPTION_TEXT, SETS(to)},
    {"output", 'o', "OUT",
     "Where to, - for stdout (default: the store's name with another suffix, here)", OPTION_TEXT,
     SETS(out)},
    {"force", 0, NULL, "Replace OUT when it is there", OPTION_FLAG, SETS(force)},

    {.kind = OPTION_HEADING, .help = "Which part of it:"},
    {"variables", 'v', "NAMES",
     "Which variables, with commas between; default, all (default: those over checkpoint, layer "
     "and module; hdf5 and netcdf: all)",
     OPTION_TEXT, SETS(variables)},
    {"module", 'm', "NAMES", "attn, mlp, block, with commas between (default: all)", OPTION_TEXT,
     SETS(modules)},
    {"layers", 'l', "LIST", "Layers, such as 0-3,7 (default: all)", OPTION_TEXT, SETS(layers)},
    {"steps", 's', "LIST", "Training steps, such as 0,512,1000- (default: all)", OPTION_TEXT,
     SETS(steps)},

    {.kind = OPTION_HEADING,
     .help = "Which layers html, notebook and svg call the least important:"},
    {"by", 0, "WHAT",
     "What to rank by, as trace-analyze: importance, update_ratio, alignment, cost-nll (or cost), "
     "cost-kl or cost-agree (default: importance)",
     OPTION_TEXT, SETS(by)},
    {"count", 0, "N", "How many they are (default: about a quarter of the layers)", OPTION_TEXT,
     SETS(count)},
    {"below", 0, "TAU",
     "Say also which layers are below this, in the unit of what is ranked by, at every checkpoint "
     "(default: no test)",
     OPTION_TEXT, SETS(below)},
    {"from", 0, "STEP", "Choose by the checkpoints from this training step on (default: all)",
     OPTION_TEXT, SETS(from)},
    {"level", 0, "P", "Confidence of intervals (default: 0.95)", OPTION_TEXT, SETS(level)},

    {.kind = OPTION_HEADING, .help = "Of one format:"},
    {"wide", 0, NULL, "csv: a column for each variable, not a line for each value", OPTION_FLAG,
     SETS(wide)},
    {"units", 0, NULL, "csv: units in a row below the header", OPTION_FLAG, SETS(units)},
    {"comment", 0, NULL, "csv: where it came from, in lines that begin with #", OPTION_FLAG,
     SETS(comment)},
    {"figure", 0, "NAME", "svg: this figure as one file (default: a folder of all)", OPTION_TEXT,
     SETS(figure)},
    {"follow", 0, NULL,
     "html, svg: write again whenever the run publishes FILE anew, until it is over or a signal "
     "ends this",
     OPTION_FLAG, SETS(follow)},
};

static bool add_file(void *settings, char *word, char why[OPTION_WHY]) {
    struct nx_options *options = settings;
    snprintf(why, OPTION_WHY, "one FILE, please");
    if (options->store)
        return false;
    options->store = word;
    return true;
}

static bool check(const void *settings, char why[OPTION_WHY]) {
    const struct nx_options *options = settings;
    if (!options->store)
        snprintf(why, OPTION_WHY, "which FILE?");
    else if (!options->to)
        snprintf(why, OPTION_WHY, "--to what?");
    else if (!options->out || !tr_is_folder(options->out)) // figures go into a folder
        program_output("output", options->out, why);
    return !*why;
}

// The formats, below the options.
static const char *formats(void) {
    static char text[2048];
    int at = snprintf(text, sizeof text, "Formats:\n");
    for (int i = 0; i < nx_exporter_count; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "  %-10s %s\n", nx_exporters[i].name,
                       nx_exporters[i].summary);
    return text;
}

const struct program trace_export_program = {
    .name = "trace-export",
    .arguments = "FILE --to FORMAT",
    .summary = "Writes a trace in a format that others read. FILE is what trace-ckpts wrote, also "
               "while it still writes. An output is written aside and renamed: it is whole, or not "
               "there.",
    .describe = formats,
    .exit_status = "0 all well, 2 usage, 3 environment.",
    .options = rows,
    .option_count = sizeof rows / sizeof rows[0],
    .argument = add_file,
    .check = check,
};
