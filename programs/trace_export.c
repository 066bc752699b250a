// SPDX-License-Identifier: Apache-2.0
// trace-export: a trace in the formats that others read.
#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "exit.h"
#include "export/export.h"
#include "export/follow.h"
#include "interrupt.h"

enum { KEY_WIDE = 256, KEY_UNITS, KEY_COMMENT, KEY_FORCE, KEY_FIGURE, KEY_FOLLOW };

static volatile sig_atomic_t stop; // a signal asked for the end

const char *argp_program_version = "trace-export " TRACE_VERSION;

static const struct argp_option option_table[] = {
    {"to", 't', "FORMAT", 0, "What to write, one of the formats below", 1},
    {"output", 'o', "OUT", 0,
     "Where to, - for stdout (default: the store's name with another suffix, here)", 1},
    {"force", KEY_FORCE, 0, 0, "Replace OUT when it is there", 1},
    {"variables", 'v', "NAMES", 0,
     "Which variables, with commas between; default, all (default: those over checkpoint, layer "
     "and module; hdf5 and netcdf: all)",
     2},
    {"module", 'm', "NAMES", 0, "attn, mlp, block, with commas between (default: all)", 2},
    {"layers", 'l', "LIST", 0, "Layers, such as 0-3,7 (default: all)", 2},
    {"steps", 's', "LIST", 0, "Training steps, such as 0,512,1000- (default: all)", 2},
    {"wide", KEY_WIDE, 0, 0, "csv: a column for each variable, not a line for each value", 3},
    {"units", KEY_UNITS, 0, 0, "csv: units in a row below the header", 3},
    {"comment", KEY_COMMENT, 0, 0, "csv: where it came from, in lines that begin with #", 3},
    {"figure", KEY_FIGURE, "NAME", 0, "svg: this figure as one file (default: a folder of all)", 3},
    {"follow", KEY_FOLLOW, 0, 0,
     "html, svg: write again whenever the run publishes FILE anew, until it is over or a signal "
     "ends this",
     3},
    {0, 0, 0, 0, 0, 0},
};

static error_t parse(int key, char *text, struct argp_state *state) {
    struct nx_options *options = state->input;
    switch (key) {
    case 't':
        options->to = text;
        return 0;
    case 'o':
        options->out = text;
        return 0;
    case 'v':
        options->variables = text;
        return 0;
    case 'm':
        options->modules = text;
        return 0;
    case 'l':
        options->layers = text;
        return 0;
    case 's':
        options->steps = text;
        return 0;
    case KEY_FORCE:
        options->force = true;
        return 0;
    case KEY_WIDE:
        options->wide = true;
        return 0;
    case KEY_UNITS:
        options->units = true;
        return 0;
    case KEY_COMMENT:
        options->comment = true;
        return 0;
    case KEY_FIGURE:
        options->figure = text;
        return 0;
    case KEY_FOLLOW:
        options->follow = true;
        return 0;
    case ARGP_KEY_ARG:
        if (options->store)
            argp_error(state, "one FILE, please");
        options->store = text;
        return 0;
    case ARGP_KEY_END:
        if (!options->store)
            argp_error(state, "which FILE?");
        if (!options->to)
            argp_error(state, "--to what?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// The formats, behind the options.
static char *help(int key, const char *text, void *input) {
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)text;
    struct tr_string lines = {0};
    tr_string_format(&lines, NULL, "Formats:\n");
    for (int i = 0; i < nx_exporter_count; i++)
        tr_string_format(&lines, NULL, "  %-10s %s\n", nx_exporters[i].name,
                         nx_exporters[i].summary);
    return lines.data; // argp frees it
}

static void tell(const char *notes, const char *path) {
    if (notes)
        fputs(notes, stderr);
    if (path)
        fprintf(stderr, "wrote %s\n", path);
}

static void on_signal(int number) {
    (void)number;
    stop = 1;
}

static enum tr_status follow(const struct nx_options *options, struct tr_err *err) {
    const struct nx_follower follower = {.stop = &stop, .period = 0.5, .tell = tell};
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return nx_follow(options, &follower, err);
}

static enum tr_status export_once(const struct nx_options *options, struct tr_err *err) {
    struct tr_string notes = {0};
    char *path = NULL;
    enum tr_status status = nx_export(options, &notes, &path, err);
    tell(notes.data, path);
    tr_string_free(&notes);
    free(path);
    return status;
}

int main(int argc, char **argv) {
    static const struct argp argp = {
        option_table,
        parse,
        "FILE --to FORMAT",
        "Writes a trace in a format that others read. FILE is what trace-ckpts wrote, also while "
        "it still writes. An output is written aside and renamed: it is whole, or not there.\v",
        NULL,
        help,
        NULL};
    struct nx_options options = {0};
    struct tr_err err;
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    tr_interrupt_catch();
    enum tr_status status = options.follow ? follow(&options, &err) : export_once(&options, &err);
    if (status == TR_OK)
        return EXIT_SUCCESS;
    fprintf(stderr, "trace-export: %s\n", err.text);
    return status == TR_EUSAGE ? EXIT_USAGE : EXIT_ENVIRONMENT;
}
