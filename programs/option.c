// SPDX-License-Identifier: Apache-2.0
// Tables of options to argp and back.
#include "option.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "base/strings.h"
#include "exit.h"
#include "leave.h"

enum { KEY_BASE = 256, MAX_OPTIONS = 64 };

// What argp hands to every call.
struct parse {
    const struct program *program;
    void *settings;
};

static int key_of(const struct option_row *option, int index) {
    return option->letter ? option->letter : KEY_BASE + index;
}

static const struct option_row *option_of(const struct program *program, int key) {
    for (int i = 0; i < program->option_count; i++)
        if (program->options[i].kind != OPTION_HEADING && key_of(&program->options[i], i) == key)
            return &program->options[i];
    return NULL;
}

static void *place(const struct parse *parse, const struct option_row *option) {
    return (char *)parse->settings + option->offset;
}

static void read_whole(const struct parse *parse, const struct option_row *option, const char *text,
                       struct argp_state *state) {
    if (tr_parse_i64(text, (int64_t)option->low, (int64_t)option->high, place(parse, option)))
        return;
    if (option->high < (double)(INT64_C(1) << 53))
        argp_error(state, "--%s takes a whole number from %.0f to %.0f, not \"%s\"", option->name,
                   option->low, option->high, text);
    argp_error(state, "--%s takes a whole number from %.0f on, not \"%s\"", option->name,
               option->low, text);
}

static void read_real(const struct parse *parse, const struct option_row *option, const char *text,
                      struct argp_state *state) {
    if (!tr_parse_f64(text, option->low, option->high, place(parse, option)))
        argp_error(state, "--%s takes a number from %g to %g, not \"%s\"", option->name,
                   option->low, option->high, text);
}

static void read_size(const struct parse *parse, const struct option_row *option, const char *text,
                      struct argp_state *state) {
    uint64_t *bytes = place(parse, option);
    if (!tr_parse_bytes(text, bytes) || *bytes == 0)
        argp_error(state, "--%s takes a size such as 16G, not \"%s\"", option->name, text);
}

static void read_word(const struct parse *parse, const struct option_row *option, const char *text,
                      struct argp_state *state) {
    char why[OPTION_WHY] = "";
    if (!option->read(parse->settings, text, why))
        argp_error(state, "--%s %s, not \"%s\"", option->name, why, text);
}

static void read_option(const struct parse *parse, const struct option_row *option, char *text,
                        struct argp_state *state) {
    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)place(parse, option) = true;
        return;
    case OPTION_TEXT:
        *(const char **)place(parse, option) = text;
        return;
    case OPTION_WHOLE:
        read_whole(parse, option, text, state);
        return;
    case OPTION_REAL:
        read_real(parse, option, text, state);
        return;
    case OPTION_SIZE:
        read_size(parse, option, text, state);
        return;
    case OPTION_WORD:
        read_word(parse, option, text, state);
        return;
    case OPTION_HEADING:
        return;
    }
}

static void refuse(struct argp_state *state, char why[OPTION_WHY]) {
    tr_printable(why, strlen(why), ""); // it may name a file
    argp_error(state, "%s", why);
}

static error_t parse_key(int key, char *text, struct argp_state *state) {
    const struct parse *parse = state->input;
    const struct option_row *option = option_of(parse->program, key);
    char why[OPTION_WHY] = "";
    if (option)
        read_option(parse, option, text, state);
    else if (key == ARGP_KEY_ARG && !parse->program->argument(parse->settings, text, why))
        refuse(state, why);
    else if (key == ARGP_KEY_END && parse->program->check &&
             !parse->program->check(parse->settings, why))
        refuse(state, why);
    else if (key != ARGP_KEY_ARG && key != ARGP_KEY_END)
        return ARGP_ERR_UNKNOWN;
    return 0;
}

// Makes argp's table: each heading becomes a group of its own, in the order of the rows.
static void fill_options(const struct program *program, struct argp_option *to) {
    int group = 1;
    for (int i = 0; i < program->option_count; i++, to++) {
        const struct option_row *option = &program->options[i];
        bool heading = option->kind == OPTION_HEADING;
        group += heading;
        *to = heading ? (struct argp_option){.doc = option->help, .group = group}
                      : (struct argp_option){.name = option->name,
                                             .key = key_of(option, i),
                                             .arg = option->argument,
                                             .doc = option->help,
                                             .group = group};
    }
    *to = (struct argp_option){0};
}

const char *program_details(const struct program *program) {
    if (program->describe)
        return program->describe();
    return program->details ? program->details : "";
}

// The documentation around argp's list of options: summary \v details, exit status.
static char *documentation(const struct program *program) {
    struct tr_string text = {0};
    const char *details = program_details(program);
    tr_string_format(&text, NULL, "%s\v%s%sExit status: %s", program->summary, details,
                     *details ? "\n\n" : "", program->exit_status);
    return text.data;
}

static void parse_aloud(const struct program *program, void *settings, int argc, char **argv) {
    struct argp_option options[MAX_OPTIONS + 1];
    struct parse parse = {program, settings};
    char *doc = documentation(program), version[64];
    fill_options(program, options);
    struct argp argp = {
        .options = options, .parser = parse_key, .args_doc = program->arguments, .doc = doc};
    snprintf(version, sizeof version, "%s " TRACE_VERSION, program->name);
    argp_program_version = version;
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &parse);
    free(doc);
}

void program_parse(const struct program *program, void *settings, int argc, char **argv,
                   bool speaks) {
    tr_leave_checked(program->name);
    FILE *out = stdout, *err = stderr, *nowhere = speaks ? NULL : fopen("/dev/null", "w");
    if (nowhere)
        stdout = stderr = nowhere; // glibc's streams are variables; argp knows no other silence
    parse_aloud(program, settings, argc, argv);
    stdout = out;
    stderr = err;
    if (nowhere)
        fclose(nowhere);
}
