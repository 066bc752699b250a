// SPDX-License-Identifier: Apache-2.0
// trace-drop: what to leave out of a model, and models without it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drop_options.h"
#include "drop_search.h"
#include "exit.h"
#include "interrupt.h"
#include "leave.h"
#include "version.h"

struct command {
    const char *name;
    const struct program *program;
    int (*run)(const struct program *program, int argc, char **argv);
};

// ---- write -------------------------------------------------------------------------------------

// What is wrong with the checkpoint is no fault of the command line.
static int complain(const struct program *program, const struct tr_err *err, enum tr_status status,
                    bool stopped) {
    tr_complain(program->name, err);
    if (stopped)
        return EXIT_STOPPED;
    if (status == TR_EFORMAT || status == TR_EUNSUPPORTED)
        return EXIT_SOME_FAILED;
    return tr_exit_code(status);
}

static const char *made_by(void) {
    static char text[64];
    snprintf(text, sizeof text, "trace-drop %s", program_version_text());
    return text;
}

static int write_checkpoint(const struct program *program, int argc, char **argv) {
    struct drop_write_settings settings = {.write.made_by = made_by()};
    struct tr_string told = {0};
    struct tr_err err = {0};
    program_parse(program, &settings, argc, argv, true);
    settings.write.form = tr_drop_form_find(settings.as, settings.dialect);
    settings.write.stop = tr_interrupt_flag();
    enum tr_status status = tr_drop_write(&settings.write, &told, &err);
    bool stopped = *settings.write.stop != 0;
    if (status == TR_OK)
        tr_tell(stdout, told.data);
    tr_string_free(&told);
    return status == TR_OK ? EXIT_SUCCESS : complain(program, &err, status, stopped);
}

// ---- which command -----------------------------------------------------------------------------

static const struct command commands[] = {
    {"search", &trace_drop_search_program, tr_drop_search},
    {"write", &trace_drop_write_program, write_checkpoint},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_usage(FILE *out) {
    fputs("Usage: trace-drop COMMAND [OPTION...] ...\n", out);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  trace-drop %s --help\n", commands[i].name);
}

static int refuse(const char *word) {
    struct tr_err err;
    if (word)
        tr_fail(&err, TR_EUSAGE, "there is no command \"%s\"", word);
    else
        tr_fail(&err, TR_EUSAGE, "which command?");
    tr_complain("trace-drop", &err);
    print_usage(stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : NULL;
    for (int i = 0; word && i < COMMANDS; i++)
        if (!strcmp(commands[i].name, word))
            return commands[i].run(commands[i].program, argc - 1, argv + 1);
    tr_leave_checked("trace-drop");
    if (word && (!strcmp(word, "--version") || !strcmp(word, "-V")))
        program_version("trace-drop", stdout);
    else if (word && (!strcmp(word, "--help") || !strcmp(word, "-?")))
        print_usage(stdout);
    else
        return refuse(word);
    return EXIT_SUCCESS;
}
