// SPDX-License-Identifier: Apache-2.0
// trace-analyze: which layers matter least at every stage of training, from the stored values
// alone.
#include <argp.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analysis/drop_plan.h"
#include "analysis/report.h"
#include "analysis/result_json.h"
#include "base/file.h"
#include "base/strings.h"
#include "exit.h"
#include "interrupt.h"
#include "store/store.h"

enum { NARROWEST = 60, WIDEST = 160 }; // columns of a report

const char *argp_program_version = "trace-analyze " TRACE_VERSION;

struct options {
    const char *path[2];     // the second: NULL, or a run to compare with
    const char *json, *plan; // files to write; NULL: none
    struct an_settings settings;
};

static const struct argp_option option_table[] = {
    {"module", 'm', "attn|mlp|block|joint", 0,
     "What to rank: one kind of sublayer, whole blocks, or attention and MLP together (default: "
     "all of these, one after the other)",
     1},
    {"count", 'n', "N", 0,
     "How many layers are \"the least important\" (default: about a quarter of them)", 1},
    {"below", 'b', "TAU", 0,
     "Test which layers' importance is below this at every checkpoint (default: no test)", 1},
    {"from", 'f', "STEP", 0,
     "Rest claims on the checkpoints from this training step on; histories show all (default: all)",
     1},
    {"resamples", 'r', "N", 0,
     "Resamples of the bootstrap and of permutation tests (default: 10000)", 2},
    {"seed", 's', "N", 0, "Seed of the resamples (default: 0)", 2},
    {"level", 'l', "P", 0,
     "Confidence of intervals; 1 - P is the false-discovery rate (default: 0.95)", 2},
    {"json", 'j', "OUT", 0, "Write everything that was computed to this file", 3},
    {"plan", 'p', "OUT", 0,
     "Write what to drop to this file: the N lowest of the --module by the mean over training, or "
     "with --below and no --count those below TAU",
     3},
    {0, 0, 0, 0, 0, 0},
};

// ---- options ---------------------------------------------------------------------------------

static int64_t number(struct argp_state *state, const char *option, const char *text, int64_t low) {
    int64_t value = 0;
    if (!tr_parse_i64(text, low, INT64_C(1) << 53, &value))
        argp_error(state, "--%s takes a whole number from %lld on, not \"%s\"", option,
                   (long long)low, text);
    return value;
}

static double real(struct argp_state *state, const char *option, const char *text, double low,
                   double high) {
    double value = 0.0;
    if (!tr_parse_f64(text, low, high, &value))
        argp_error(state, "--%s takes a number from %g to %g, not \"%s\"", option, low, high, text);
    return value;
}

static void choose_module(struct argp_state *state, struct an_settings *settings,
                          const char *name) {
    bool found = false;
    for (int group = 0; group < AN_GROUPS; group++) {
        settings->wanted[group] = strcmp(name, an_group_names[group]) == 0;
        found |= settings->wanted[group];
    }
    if (!found)
        argp_error(state, "--module takes attn, mlp, block or joint, not \"%s\"", name);
}

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return a && b &&
           (strcmp(a, b) == 0 ||
            (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino));
}

// What contradicts each other.
static void check(struct argp_state *state, const struct options *options) {
    const struct {
        const char *option, *path;
    } outputs[] = {{"json", options->json}, {"plan", options->plan}};
    int wanted = 0;
    for (int group = 0; group < AN_GROUPS; group++)
        wanted += options->settings.wanted[group];
    if (options->plan && wanted != 1)
        argp_error(state, "--plan needs a --module: attn, mlp, block or joint");
    for (int i = 0; i < 2; i++)
        if (outputs[i].path && !strcmp(outputs[i].path, "-"))
            argp_error(state, "--%s takes a file; the report goes to stdout", outputs[i].option);
    for (int i = 0; i < 2; i++)
        for (int input = 0; input < 2; input++)
            if (same_file(outputs[i].path, options->path[input]))
                argp_error(state, "--%s would overwrite %s", outputs[i].option,
                           options->path[input]);
    if (same_file(options->json, options->plan))
        argp_error(state, "--json and --plan are the same file");
    if (same_file(options->path[0], options->path[1]))
        argp_error(state, "%s and %s are the same file", options->path[0], options->path[1]);
}

static error_t parse(int key, char *text, struct argp_state *state) {
    struct options *options = state->input;
    struct an_settings *settings = &options->settings;
    switch (key) {
    case 'm':
        choose_module(state, settings, text);
        return 0;
    case 'n':
        settings->count = number(state, "count", text, 1);
        return 0;
    case 'b':
        settings->below = real(state, "below", text, 0.0, 2.0);
        return 0;
    case 'f':
        settings->from = number(state, "from", text, 0);
        return 0;
    case 'r':
        settings->resamples = number(state, "resamples", text, 100);
        return 0;
    case 's':
        settings->seed = (uint64_t)number(state, "seed", text, 0);
        return 0;
    case 'l':
        settings->level = real(state, "level", text, 0.5, 0.9999);
        return 0;
    case 'j':
        options->json = text;
        return 0;
    case 'p':
        options->plan = text;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            argp_error(state, "one FILE, or two to compare, please");
        options->path[state->arg_num] = text;
        return 0;
    case ARGP_KEY_END:
        check(state, options);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which FILE?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// ---- the report ------------------------------------------------------------------------------

static struct an_style style_of_stdout(void) {
    struct an_style style = {.width = 80, .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
    const char *terminal = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    const char *columns = getenv("COLUMNS");
    int64_t width = style.width;
    struct winsize size;
    if (isatty(STDOUT_FILENO)) {
        style.colour = !(no_colour && no_colour[0]) && terminal && strcmp(terminal, "dumb") != 0;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
            width = size.ws_col;
    }
    if (columns)
        tr_parse_i64(columns, 1, INT_MAX, &width);
    style.width = width < NARROWEST ? NARROWEST : width < WIDEST ? (int)width : WIDEST;
    return style;
}

// What the program computes.
struct work {
    struct an_result result[2];
    struct an_comparison comparison;
    bool compared;
};

static enum tr_status load(struct work *work, const struct options *options, int which,
                           struct tr_err *err) {
    struct tr_trace *trace = NULL;
    TR_TRY(tr_trace_open(&trace, options->path[which], err));
    enum tr_status status =
        an_analyze(&work->result[which], trace, options->path[which], &options->settings, err);
    tr_trace_close(trace);
    return status;
}

static enum tr_status compute(struct work *work, const struct options *options,
                              struct tr_err *err) {
    TR_TRY(load(work, options, 0, err));
    if (!options->path[1])
        return TR_OK;
    TR_TRY(load(work, options, 1, err));
    TR_TRY(an_compare(&work->comparison, &work->result[0], &work->result[1], err));
    work->compared = true;
    return TR_OK;
}

// Takes the value over.
static enum tr_status save(json_t *value, const char *path, struct tr_err *err) {
    struct tr_string line = {0};
    char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(17));
    enum tr_status status = text ? tr_string_format(&line, err, "%s\n", text)
                                 : tr_fail(err, TR_ENOMEM, "out of memory for %s", path);
    if (status == TR_OK)
        status = tr_file_replace(path, line.data, line.size, err);
    tr_string_free(&line);
    free(text);
    json_decref(value);
    return status;
}

static enum tr_status write_files(const struct work *work, const struct options *options,
                                  struct tr_err *err) {
    json_t *value = NULL;
    if (options->plan) {
        TR_TRY(an_drop_plan(&value, &work->result[0], err));
        if (json_integer_value(json_object_get(value, "count")) == 0)
            fprintf(stderr, "trace-analyze: %s drops nothing: no layer is shown to be below %g\n",
                    options->plan, options->settings.below);
        TR_TRY(save(value, options->plan, err));
    }
    if (!options->json)
        return TR_OK;
    TR_TRY(
        an_result_json(&value, &work->result[0], work->compared ? &work->comparison : NULL, err));
    return save(value, options->json, err);
}

static enum tr_status report(const struct work *work, struct tr_string *out, struct tr_err *err) {
    struct an_style style = style_of_stdout();
    TR_TRY(an_report_write(&work->result[0], &style, out, err));
    if (!work->compared)
        return TR_OK;
    return an_report_compare(&work->comparison, &work->result[0], &work->result[1], &style, out,
                             err);
}

static enum tr_status analyze(const struct options *options, struct tr_string *out,
                              struct tr_err *err) {
    struct work work = {0};
    enum tr_status status;
    TR_GO(status, compute(&work, options, err), out);
    TR_GO(status, write_files(&work, options, err), out);
    status = report(&work, out, err);
out:
    an_comparison_free(&work.comparison);
    an_result_free(&work.result[0]);
    an_result_free(&work.result[1]);
    return status;
}

int main(int argc, char **argv) {
    static const struct argp argp = {
        option_table,
        parse,
        "FILE [FILE2]",
        "Which layers of a traced training run are redundant at every stage, and how sure that is: "
        "importance with intervals, the stability of the ranking, the set of the least important "
        "layers, when it was decided, and what chance would give. Of two files, the report of the "
        "first and how the second differs.",
        NULL,
        NULL,
        NULL};
    struct options options = {.settings = {.wanted = {true, true, true, true},
                                           .below = NAN,
                                           .from = INT64_MIN,
                                           .resamples = 10000,
                                           .level = 0.95}};
    struct tr_string out = {0};
    struct tr_err err;
    setlocale(LC_CTYPE, "");
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    tr_interrupt_catch();
    enum tr_status status = analyze(&options, &out, &err);
    if (status == TR_OK && (fwrite(out.data, 1, out.size, stdout) != out.size || fflush(stdout)))
        status = tr_fail(&err, TR_EIO, "cannot write the report to stdout");
    tr_string_free(&out);
    if (status == TR_OK)
        return EXIT_SUCCESS;
    fprintf(stderr, "trace-analyze: %s\n", err.text);
    return status == TR_EUSAGE ? EXIT_USAGE : EXIT_ENVIRONMENT;
}
