// SPDX-License-Identifier: Apache-2.0
// program_pages man|markdown|bash PROGRAM [OUT]: what is printed from the tables of options. Built
// with the programs and run by the build; not installed.
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "option.h"

static const struct program *const programs[] = {
    &trace_ckpts_program,      &trace_info_program,        &trace_analyze_program,
    &trace_eval_program,       &trace_export_program,      &trace_merge_program,
    &trace_drop_write_program, &trace_drop_search_program, &trace_quant_program};
enum { PROGRAMS = sizeof programs / sizeof programs[0] };

// The name as files and pages have it: of a program's command, "trace-drop-write".
static void page_name(const struct program *program, char name[64]) {
    snprintf(name, 64, "%s", program->name);
    for (char *at = name; *at; at++)
        *at = *at == ' ' ? '-' : *at;
}

// ---- man pages (man(7)) ------------------------------------------------------------------------

// Text with hyphens and backslashes as roff wants them; a line never begins with a dot.
static void print_roff(const char *text) {
    for (const char *at = text; *at; at++) {
        if ((*at == '.' || *at == '\'') && (at == text || at[-1] == '\n'))
            printf("\\&");
        if (*at == '\\')
            printf("\\e");
        else if (*at == '-')
            printf("\\-");
        else if (*at == '\n')
            printf("\n.br\n");
        else
            putchar(*at);
    }
    putchar('\n');
}

static void print_man_option(const struct option_row *option) {
    if (option->kind == OPTION_HEADING) {
        printf(".SS ");
        print_roff(option->help);
        return;
    }
    printf(".TP\n\\fB");
    if (option->letter)
        printf("\\-%c\\fR, \\fB", option->letter);
    printf("\\-\\-%s\\fR", option->name);
    if (option->argument)
        printf(" \\fI%s\\fR", option->argument);
    putchar('\n');
    print_roff(option->help);
}

static void print_man(const struct program *program) {
    char name[64];
    page_name(program, name);
    printf(".TH %s 1 \"\" \"trace-ckpts " TRACE_VERSION "\" \"User Commands\"\n", name);
    printf(".SH NAME\n%s \\- ", name);
    int first = (int)strcspn(program->summary, ".:");
    printf("%c%.*s\n", tolower((unsigned char)*program->summary), first - 1, program->summary + 1);
    printf(".SH SYNOPSIS\n\\fB%s\\fR [\\fIOPTION\\fR...] %s\n", program->name, program->arguments);
    printf(".SH DESCRIPTION\n");
    print_roff(program->summary);
    printf(".SH OPTIONS\n");
    for (int i = 0; i < program->option_count; i++)
        print_man_option(&program->options[i]);
    if (*program_details(program)) {
        printf(".SH NOTES\n");
        print_roff(program_details(program));
    }
    printf(".SH EXIT STATUS\n");
    print_roff(program->exit_status);
    printf(".SH SEE ALSO\n");
    for (int i = 0; i < PROGRAMS; i++) {
        page_name(programs[i], name);
        if (programs[i] != program)
            printf(".BR %s (1)\n", name);
    }
}

// ---- Markdown ----------------------------------------------------------------------------------

// Text of a cell; as_code where it stands between backquotes.
static void print_cell(const char *text, bool as_code) {
    for (const char *at = text; *at; at++)
        if (*at == '|' || (!as_code && *at == '*'))
            printf("\\%c", *at);
        else if (!as_code && *at == '<')
            printf("&lt;");
        else
            putchar(*at);
}

static void print_markdown_option(const struct option_row *option) {
    if (option->kind == OPTION_HEADING) {
        printf("| **%s** | |\n", option->help);
        return;
    }
    printf("| `");
    if (option->letter)
        printf("-%c, ", option->letter);
    printf("--%s%s", option->name, option->argument ? " " : "");
    print_cell(option->argument ? option->argument : "", true);
    printf("` | ");
    print_cell(option->help, false);
    printf(" |\n");
}

static void print_markdown(const struct program *program) {
    printf("    %s [OPTION...] %s\n\n%s\n\n", program->name, program->arguments, program->summary);
    printf("| option | meaning |\n| --- | --- |\n");
    for (int i = 0; i < program->option_count; i++)
        print_markdown_option(&program->options[i]);
    printf("\nExit status: %s\n", program->exit_status);
}

// ---- bash completion ---------------------------------------------------------------------------

// Whether it is that program, or a command of it.
static bool is_of(const struct program *program, const char *name) {
    size_t size = strlen(name);
    return !strncmp(program->name, name, size) &&
           (!program->name[size] || program->name[size] == ' ');
}

// What follows an option that takes one of several words, and the options.
static void print_bash_words(const struct program *program) {
    printf("    case $last in\n");
    for (int i = 0; i < program->option_count; i++) {
        const struct option_row *option = &program->options[i];
        if (!option->argument || !strchr(option->argument, '|'))
            continue;
        printf("    --%s) COMPREPLY=($(compgen -W \"", option->name);
        for (const char *at = option->argument; *at; at++)
            putchar(*at == '|' ? ' ' : *at);
        printf("\" -- \"$word\")); return ;;\n");
    }
    printf("    esac\n    if [[ $word == -* ]]; then\n        COMPREPLY=($(compgen -W \"");
    for (int i = 0; i < program->option_count; i++)
        if (program->options[i].kind != OPTION_HEADING)
            printf("--%s ", program->options[i].name);
    printf("--help --version\" -- \"$word\"))\n    else\n        COMPREPLY=($(compgen -f -- "
           "\"$word\"))\n    fi\n");
}

// The words of the command that stands first; until it does, its name.
static void print_bash_commands(const char *name) {
    size_t size = strlen(name) + 1;
    printf("    if [[ $COMP_CWORD == 1 ]]; then\n        COMPREPLY=($(compgen -W \"");
    for (int i = 0; i < PROGRAMS; i++)
        if (is_of(programs[i], name))
            printf("%s ", programs[i]->name + size);
    printf("--help --version\" -- \"$word\")); return\n    fi\n    case ${COMP_WORDS[1]} in\n");
    for (int i = 0; i < PROGRAMS; i++) {
        if (!is_of(programs[i], name))
            continue;
        printf("    %s)\n", programs[i]->name + size);
        print_bash_words(programs[i]);
        printf("    ;;\n");
    }
    printf("    esac\n");
}

static void print_bash(const struct program *program) {
    char name[64], function[66];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(program->name, " "), program->name);
    snprintf(function, sizeof function, "_%s", name);
    for (char *at = function; *at; at++)
        *at = *at == '-' ? '_' : *at;
    printf("%s() {\n    local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD - 1]}\n",
           function);
    if (strchr(program->name, ' '))
        print_bash_commands(name);
    else
        print_bash_words(program);
    printf("}\ncomplete -o filenames -F %s %s\n", function, name);
}

// ---- which page --------------------------------------------------------------------------------

static bool is_meant(const struct program *program, const char *name) {
    char page[64];
    page_name(program, page);
    return !strcmp(page, name) || is_of(program, name);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*print)(const struct program *program);
    } forms[] = {{"man", print_man}, {"markdown", print_markdown}, {"bash", print_bash}};
    for (size_t f = 0; (argc == 3 || argc == 4) && f < sizeof forms / sizeof forms[0]; f++)
        for (int p = 0; p < PROGRAMS; p++)
            if (!strcmp(argv[1], forms[f].name) && is_meant(programs[p], argv[2])) {
                if (argc == 4 && !freopen(argv[3], "w", stdout))
                    return 3;
                forms[f].print(programs[p]);
                return fflush(stdout) ? 3 : 0;
            }
    fprintf(stderr, "program_pages man|markdown|bash PROGRAM [OUT]\n");
    return 2;
}
