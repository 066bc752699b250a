// SPDX-License-Identifier: Apache-2.0
#include "option_help.h"

#include <string.h>

#include "base/strings.h"
#include "base/wrap.h"

enum { WIDTH = 79, HELP_COLUMN = 29 };

// Prints text[0, size) behind the `column` columns that the line has, other lines below `indent`.
static void print_words(FILE *out, const char *text, size_t size, int column, int indent) {
    struct tr_string lines = {0};
    const struct tr_wrap wrap = {.width = WIDTH, .column = column, .indent = indent};
    if (tr_wrap_words(&lines, text, size, &wrap, NULL) == TR_OK && lines.data)
        fwrite(lines.data, 1, lines.size, out);
    fputc('\n', out);
    tr_string_free(&lines);
}

// Prints text that has lines of its own.
static void print_lines(FILE *out, const char *text) {
    for (size_t size; *text; text += size + (text[size] == '\n')) {
        size = strcspn(text, "\n");
        print_words(out, text, size, 0, 0);
    }
}

// The left column is followed by the right one on the same line where it leaves room.
static void print_option(FILE *out, int letter, const char *name, const char *argument,
                         const char *help) {
    char shown[8] = "    ";
    if (letter)
        snprintf(shown, sizeof shown, "-%c, ", letter);
    int column =
        fprintf(out, "  %s--%s%s%s", shown, name, argument ? "=" : "", argument ? argument : "");
    if (column >= HELP_COLUMN)
        column = fprintf(out, "\n") - 1;
    fprintf(out, "%*s", HELP_COLUMN - column, "");
    print_words(out, help, strlen(help), HELP_COLUMN, HELP_COLUMN);
}

static void print_options(FILE *out, const struct program *program) {
    for (int i = 0; i < program->option_count; i++) {
        const struct option_row *row = &program->options[i];
        if (row->kind == OPTION_HEADING)
            fprintf(out, "%s %s\n", i ? "\n" : "", row->help);
        else
            print_option(out, row->letter, row->name, row->argument, row->help);
    }
    fputc('\n', out);
    print_option(out, '?', "help", NULL, "Give this help list");
    print_option(out, 0, "usage", NULL, "Give a short usage message");
    print_option(out, 'V', "version", NULL, "Print the version and what it was built with");
}

void program_usage(const struct program *program, FILE *out) {
    fprintf(out, "Usage: %s [OPTION...] %s\n", program->name, program->arguments);
}

const char *program_details(const struct program *program) {
    if (program->describe)
        return program->describe();
    return program->details ? program->details : "";
}

void program_help(const struct program *program, FILE *out) {
    const char *details = program_details(program);
    program_usage(program, out);
    print_lines(out, program->summary);
    fputc('\n', out);
    print_options(out, program);
    fputc('\n', out);
    print_lines(out, details);
    fputs(*details ? "\nExit status: " : "Exit status: ", out);
    print_words(out, program->exit_status, strlen(program->exit_status), 13, 0);
}
