// SPDX-License-Identifier: Apache-2.0
// trace-analyze: which layers matter least, from the stored values alone.
#include <argp.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "report.h"
#include "series.h"
#include "store.h"
#include "text.h"

enum { EXIT_USAGE = 2, EXIT_ENVIRONMENT = 3 };

const char *argp_program_version = "trace-analyze " TRACE_VERSION;

struct options {
    const char *path;
    const char *module; // a name of tr_module_names, or "all"
    int64_t count;      // 0: about a quarter of the layers
    int64_t from;       // INT64_MIN: all
};

static const struct argp_option option_table[] = {
    {"module", 'm', "attn|mlp|block|all", 0, "Which part of the layers (default: all)", 0},
    {"count", 'n', "N", 0,
     "How many layers are \"the least important\" (default: about a quarter of them)", 0},
    {"from", 'f', "STEP", 0, "Leave out checkpoints before this training step (default: none)", 0},
    {0, 0, 0, 0, 0, 0},
};

static int64_t number(struct argp_state *state, const char *option, const char *text, int64_t low) {
    int64_t value = 0;
    if (!tr_parse_i64(text, low, INT64_C(1) << 53, &value))
        argp_error(state, "--%s takes a whole number from %lld on, not \"%s\"", option,
                   (long long)low, text);
    return value;
}

static bool is_module(const char *name) {
    for (int module = 0; module < TR_MODULES; module++)
        if (strcmp(name, tr_module_names[module]) == 0)
            return true;
    return strcmp(name, "all") == 0;
}

static error_t parse(int key, char *text, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
    case 'm':
        if (!is_module(text))
            argp_error(state, "--module takes attn, mlp, block or all, not \"%s\"", text);
        options->module = text;
        return 0;
    case 'n':
        options->count = number(state, "count", text, 1);
        return 0;
    case 'f':
        options->from = number(state, "from", text, 0);
        return 0;
    case ARGP_KEY_ARG:
        if (options->path)
            argp_error(state, "one FILE, please");
        options->path = text;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which FILE?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static struct an_style style_of_stdout(void) {
    struct an_style style = {.width = 80, .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
    const char *terminal = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    struct winsize size;
    if (!isatty(STDOUT_FILENO))
        return style;
    style.colour = !(no_colour && no_colour[0]) && terminal && strcmp(terminal, "dumb") != 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        style.width = size.ws_col < 160 ? size.ws_col : 160;
    return style;
}

static enum tr_status analyze(const struct options *options, struct tr_string *out,
                              struct tr_err *err) {
    struct tr_trace *trace = NULL;
    struct an_series series = {0};
    struct an_report report = {
        .path = options->path, .count = options->count, .style = style_of_stdout()};
    for (int module = 0; module < TR_MODULES; module++)
        report.wanted[module] = strcmp(options->module, "all") == 0 ||
                                strcmp(options->module, tr_module_names[module]) == 0;
    enum tr_status status;
    TR_GO(status, tr_trace_open(&trace, options->path, err), out);
    TR_GO(status, an_series_load(&series, trace, options->path, options->from, err), out);
    if (options->count > series.layers)
        status =
            tr_fail(err, TR_EUSAGE, "--count %lld asks for more than the %lld layers there are",
                    (long long)options->count, (long long)series.layers);
    else
        status = an_report_write(&report, &series, out, err);
out:
    an_series_free(&series);
    tr_trace_close(trace);
    return status;
}

int main(int argc, char **argv) {
    static const struct argp argp = {
        option_table,
        parse,
        "FILE",
        "Which layers of a traced training run matter least: the layers of each module ordered by "
        "their mean importance over checkpoints, how often each is among the lowest, and a heat "
        "map of layer by checkpoint.",
        NULL,
        NULL,
        NULL};
    struct options options = {.module = "all", .from = INT64_MIN};
    struct tr_string out = {0};
    struct tr_err err;
    setlocale(LC_CTYPE, "");
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    enum tr_status status = analyze(&options, &out, &err);
    if (status == TR_OK && (fwrite(out.data, 1, out.size, stdout) != out.size || fflush(stdout)))
        status = tr_fail(&err, TR_EIO, "cannot write the report to stdout");
    tr_string_free(&out);
    if (status == TR_OK)
        return EXIT_SUCCESS;
    fprintf(stderr, "trace-analyze: %s\n", err.text);
    return status == TR_EUSAGE ? EXIT_USAGE : EXIT_ENVIRONMENT;
}
