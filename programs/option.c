// SPDX-License-Identifier: Apache-2.0
// Tables of options to getopt_long and back. Sentences are made here: getopt's own would show a
// word as it is, whatever it does to a terminal.
#include "option.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strings.h"
#include "exit.h"
#include "leave.h"
#include "option_help.h"
#include "version.h"

enum {
    KEY_BASE = 256,
    MAX_OPTIONS = 64,
    KEY_HELP = KEY_BASE + MAX_OPTIONS,
    KEY_USAGE,
    KEY_VERSION
};

static const struct option built_in[] = {{"help", no_argument, NULL, KEY_HELP},
                                         {"usage", no_argument, NULL, KEY_USAGE},
                                         {"version", no_argument, NULL, KEY_VERSION},
                                         {0}};

// What every step of reading a command line is told.
struct parse {
    const struct program *program;
    void *settings;
    bool speaks;
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

// ---- a usage error ---------------------------------------------------------------------------

static _Noreturn void refuse(const struct parse *parse, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void refuse(const struct parse *parse, const char *format, ...) {
    struct tr_err err;
    char sentence[TR_ERR_MAX];
    const char *name = parse->program->name;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    if (parse->speaks) {
        tr_fail(&err, TR_EUSAGE, "%s", sentence); // without what harms a terminal
        tr_complain(name, &err);
        fprintf(stderr, "Try `%s --help' or `%s --usage' for more information.\n", name, name);
    }
    exit(EXIT_USAGE);
}

static int options_that_begin_with(const struct program *program, const char *word, size_t size) {
    int count = 0;
    for (int i = 0; i < program->option_count; i++)
        count += program->options[i].name && !strncmp(program->options[i].name, word, size);
    for (const struct option *option = built_in; option->name; option++)
        count += !strncmp(option->name, word, size);
    return count;
}

// A word that getopt_long knows nothing of. `key`: 0 of a long option, else the letter.
static _Noreturn void refuse_unknown(const struct parse *parse, int key, const char *word) {
    if (key)
        refuse(parse, "invalid option -- '%c'", key);
    if (options_that_begin_with(parse->program, word + 2, strcspn(word + 2, "=")) > 1)
        refuse(parse, "option '%s' is ambiguous", word);
    refuse(parse, "unrecognized option '%s'", word);
}

// ---- one option ------------------------------------------------------------------------------

static void *place(const struct parse *parse, const struct option_row *option) {
    return (char *)parse->settings + option->offset;
}

static void read_whole(const struct parse *parse, const struct option_row *option,
                       const char *text) {
    if (tr_parse_i64(text, (int64_t)option->low, (int64_t)option->high, place(parse, option)))
        return;
    if (option->high < (double)(INT64_C(1) << 53))
        refuse(parse, "--%s takes a whole number from %.0f to %.0f, not \"%s\"", option->name,
               option->low, option->high, text);
    refuse(parse, "--%s takes a whole number from %.0f on, not \"%s\"", option->name, option->low,
           text);
}

static void read_real(const struct parse *parse, const struct option_row *option,
                      const char *text) {
    if (!tr_parse_f64(text, option->low, option->high, place(parse, option)))
        refuse(parse, "--%s takes a number from %g to %g, not \"%s\"", option->name, option->low,
               option->high, text);
}

static void read_size(const struct parse *parse, const struct option_row *option,
                      const char *text) {
    uint64_t *bytes = place(parse, option);
    if (!tr_parse_bytes(text, bytes) || *bytes == 0)
        refuse(parse, "--%s takes a size such as 16G, not \"%s\"", option->name, text);
}

static void read_word(const struct parse *parse, const struct option_row *option,
                      const char *text) {
    char why[OPTION_WHY] = "";
    if (!option->read(parse->settings, text, why))
        refuse(parse, "--%s %s, not \"%s\"", option->name, why, text);
}

static void read_option(const struct parse *parse, const struct option_row *option,
                        const char *text) {
    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)place(parse, option) = true;
        return;
    case OPTION_TEXT:
        *(const char **)place(parse, option) = text;
        return;
    case OPTION_WHOLE:
        read_whole(parse, option, text);
        return;
    case OPTION_REAL:
        read_real(parse, option, text);
        return;
    case OPTION_SIZE:
        read_size(parse, option, text);
        return;
    case OPTION_WORD:
        read_word(parse, option, text);
        return;
    case OPTION_HEADING:
        return;
    }
}

// ---- the whole line --------------------------------------------------------------------------

static _Noreturn void answer(const struct parse *parse, int key) {
    if (parse->speaks && key == KEY_HELP)
        program_help(parse->program, stdout);
    else if (parse->speaks && key == KEY_USAGE)
        program_usage(parse->program, stdout);
    else if (parse->speaks)
        program_version(parse->program->name, stdout);
    exit(EXIT_SUCCESS);
}

// What getopt_long found: `key`, or in optopt which option is wrong.
static void take(const struct parse *parse, int key, const char *word) {
    const struct option_row *option = option_of(parse->program, key);
    const struct option_row *wrong = option_of(parse->program, optopt);
    if (option)
        read_option(parse, option, optarg);
    else if (key >= KEY_HELP || (key == 'V' && !wrong))
        answer(parse, key);
    else if (key == ':')
        refuse(parse, "option '--%s' requires an argument", wrong->name);
    else if (wrong)
        refuse(parse, "option '--%s' doesn't allow an argument", wrong->name);
    else if (optopt == '?')
        answer(parse, KEY_HELP);
    else
        refuse_unknown(parse, optopt, word);
}

static void read_arguments(const struct parse *parse, int argc, char **argv) {
    char why[OPTION_WHY] = "";
    for (; optind < argc; optind++)
        if (!parse->program->argument(parse->settings, argv[optind], why))
            refuse(parse, "%s", why);
    *why = '\0';
    if (parse->program->check && !parse->program->check(parse->settings, why))
        refuse(parse, "%s", why);
}

int program_choice(const char *word, const char *const *names, int count) {
    for (int i = 0; i < count; i++)
        if (strcmp(word, names[i]) == 0)
            return i;
    return -1;
}

bool program_output(const char *option, const char *path, char why[OPTION_WHY]) {
    if (!path)
        return true;
    if (!*path)
        snprintf(why, OPTION_WHY, "--%s is empty: where shall it go?", option);
    else if (tr_is_folder(path))
        snprintf(why, OPTION_WHY, "%.200s is a folder, not a file to write", path);
    else if (!tr_file_has_place(path))
        snprintf(why, OPTION_WHY, "--%s %.200s: there is no such folder", option, path);
    else
        return true;
    return false;
}

// Makes getopt's tables of the rows; a colon first in `letters` makes it say what is missing.
static void fill_options(const struct program *program, struct option *to, char *letters) {
    *letters++ = ':';
    for (int i = 0; i < program->option_count; i++) {
        const struct option_row *row = &program->options[i];
        int has_argument = row->argument ? required_argument : no_argument;
        if (row->kind == OPTION_HEADING)
            continue;
        *to++ = (struct option){row->name, has_argument, NULL, key_of(row, i)};
        if (row->letter)
            letters += sprintf(letters, row->argument ? "%c:" : "%c", row->letter);
    }
    memcpy(to, built_in, sizeof built_in);
    strcpy(letters, "V");
}

void program_parse(const struct program *program, void *settings, int argc, char **argv,
                   bool speaks) {
    struct option options[MAX_OPTIONS + sizeof built_in / sizeof built_in[0]];
    char letters[2 * MAX_OPTIONS + 3];
    const struct parse parse = {program, settings, speaks};
    tr_leave_checked(program->name);
    fill_options(program, options, letters);
    opterr = 0;
    for (int key; (key = getopt_long(argc, argv, letters, options, NULL)) != -1;)
        take(&parse, key, argv[optind - 1]);
    read_arguments(&parse, argc, argv);
}
