// SPDX-License-Identifier: Apache-2.0
#ifndef TR_OPTION_H
#define TR_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Command lines as tables: a program is a row of words and a list of options, an option is a row.
// Parsing, --help, man pages, completions and docs/options.md all come of them.

enum option_kind {
    OPTION_HEADING, // `help` alone: what the options below are about
    OPTION_FLAG,    // sets a bool
    OPTION_TEXT,    // a const char *, as it is
    OPTION_WHOLE,   // an int64_t within [low, high]
    OPTION_REAL,    // a double within [low, high]
    OPTION_SIZE,    // a uint64_t of bytes above 0, as 512, 64K, 1.5G
    OPTION_WORD     // what `read` makes of it
};

enum { OPTION_WHY = 256 };

// The largest whole number that options take, in their low and high.
static const double LARGEST = (double)(INT64_C(1) << 53);

struct option_row {
    const char *name;     // without --
    int letter;           // 0: none
    const char *argument; // its name in the help; NULL: a flag
    const char *help;     // with its default and unit
    enum option_kind kind;
    size_t offset; // of what it sets, in the program's settings
    double low, high;
    // Returns false, with a sentence in `why` ("takes auto, cpu or cuda"), where the word means
    // nothing.
    bool (*read)(void *settings, const char *word, char why[OPTION_WHY]);
};

#define OPTION_SETS(type, member) .offset = offsetof(type, member)

struct program {
    const char *name;
    const char *arguments;         // behind the options, in the usage line
    const char *summary;           // what it does, in a paragraph
    const char *details;           // below the options; NULL: none
    const char *(*describe)(void); // instead of details, where they come of a table
    const char *exit_status;
    const struct option_row *options;
    int option_count;
    // Takes a word that is no option; false with a sentence in `why`.
    bool (*argument)(void *settings, char *word, char why[OPTION_WHY]);
    // Called when all is read: false, with a sentence in `why`, where options contradict each
    // other. NULL when none can.
    bool (*check)(const void *settings, char why[OPTION_WHY]);
};

// Reads argv into settings, which hold the defaults. Prints usage errors and exits with EXIT_USAGE,
// or prints help or the version and exits with 0. `speaks`: only then anything is printed.
void program_parse(const struct program *program, void *settings, int argc, char **argv,
                   bool speaks);

// The place of a word among names[count]; -1: it is none of them.
int program_choice(const char *word, const char *const *names, int count);

// Whether an output can be meant so: it is named, is no folder, and its folder is there. False,
// with a sentence in `why`, where not; the same one in all programs. NULL is fine.
bool program_output(const char *option, const char *path, char why[OPTION_WHY]);

// The details, wherever they come from; "" when there are none.
const char *program_details(const struct program *program);

// Every program of the project, for what is printed from the tables.
extern const struct program trace_ckpts_program, trace_info_program, trace_analyze_program,
    trace_eval_program, trace_export_program, trace_merge_program, trace_drop_write_program,
    trace_drop_search_program, trace_quant_program;

#endif
