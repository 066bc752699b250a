// SPDX-License-Identifier: Apache-2.0
// trace-analyze: which layers matter least at every stage of training, from the stored values
// alone.
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "analysis/drop_plan.h"
#include "analysis/report.h"
#include "analysis/result_json.h"
#include "analyze_options.h"
#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "exit.h"
#include "interrupt.h"
#include "leave.h"
#include "store/store.h"

enum { NARROWEST = 60, WIDEST = 160 }; // columns of a report

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

static enum tr_status load(struct work *work, const struct analyze_options *options, int which,
                           struct tr_err *err) {
    struct tr_trace *trace = NULL;
    TR_TRY(tr_trace_open(&trace, options->path[which], err));
    enum tr_status status =
        an_analyze(&work->result[which], trace, options->path[which], &options->settings, err);
    tr_trace_close(trace);
    return status;
}

static enum tr_status compute(struct work *work, const struct analyze_options *options,
                              struct tr_err *err) {
    TR_TRY(load(work, options, 0, err));
    if (!options->path[1])
        return TR_OK;
    TR_TRY(load(work, options, 1, err));
    TR_TRY(an_compare(&work->comparison, &work->result[0], &work->result[1], err));
    work->compared = true;
    return TR_OK;
}

// Takes the value over. "-" goes to `out`, which is for stdout.
static enum tr_status save(json_t *value, const char *path, struct tr_string *out,
                           struct tr_err *err) {
    return strcmp(path, "-") == 0 ? tr_json_append(value, JSON_COMPACT, path, out, err)
                                  : tr_json_save(value, JSON_COMPACT, path, err);
}

static void say_empty(const struct analyze_options *options) {
    fputs("trace-analyze: ", stderr);
    tr_tell(stderr, options->plan);
    fprintf(stderr, " drops nothing: no layer is shown to be below %g\n", options->settings.below);
}

static enum tr_status write_files(const struct work *work, const struct analyze_options *options,
                                  struct tr_string *out, struct tr_err *err) {
    json_t *value = NULL;
    if (options->plan) {
        TR_TRY(an_drop_plan(&value, &work->result[0], err));
        if (json_integer_value(json_object_get(value, "count")) == 0)
            say_empty(options);
        TR_TRY(save(value, options->plan, out, err));
    }
    if (!options->json)
        return TR_OK;
    TR_TRY(
        an_result_json(&value, &work->result[0], work->compared ? &work->comparison : NULL, err));
    return save(value, options->json, out, err);
}

// What is there and was not written by this program stays, before any work.
static enum tr_status keep_other(const char *option, const char *path, struct tr_err *err) {
    if (!path || !tr_file_holds_other(path, '{'))
        return TR_OK;
    return tr_fail(err, TR_ECONFLICT, "%s is no JSON; --%s does not write over it", path, option);
}

static enum tr_status report(const struct work *work, const struct analyze_options *options,
                             struct tr_string *out, struct tr_err *err) {
    const struct an_report how = {.style = style_of_stdout(),
                                  .format = options->format,
                                  .sections = options->brief  ? AN_BRIEF
                                              : options->full ? AN_FULL
                                                              : options->sections,
                                  .whole = options->full || options->asked};
    const struct an_comparison *comparison = work->compared ? &work->comparison : NULL;
    if (options->json && strcmp(options->json, "-") == 0)
        return TR_OK; // stdout is JSON
    return an_report_write(&work->result[0], comparison, &work->result[1], &how, out, err);
}

static enum tr_status analyze(struct analyze_options *options, struct tr_string *out,
                              struct tr_err *err) {
    struct work work = {0};
    struct tr_drop_set given = {0};
    enum tr_status status;
    if (options->set) {
        TR_GO(status, tr_drop_set_read(&given, options->set, err), out);
        options->settings.given = &given;
    }
    TR_GO(status, keep_other("json", options->json, err), out);
    TR_GO(status, keep_other("plan", options->plan, err), out);
    TR_GO(status, compute(&work, options, err), out);
    TR_GO(status, write_files(&work, options, out, err), out);
    status = report(&work, options, out, err);
out:
    an_comparison_free(&work.comparison);
    an_result_free(&work.result[0]);
    an_result_free(&work.result[1]);
    tr_drop_set_free(&given);
    return status;
}

int main(int argc, char **argv) {
    struct analyze_options options = tr_analyze_defaults();
    struct tr_string out = {0};
    struct tr_err err;
    setlocale(LC_CTYPE, "");
    program_parse(&trace_analyze_program, &options, argc, argv, true);
    tr_interrupt_catch();
    enum tr_status status = analyze(&options, &out, &err);
    if (status == TR_OK)
        fwrite(out.data, 1, out.size, stdout); // tr_leave_checked sees whether it could
    tr_string_free(&out);
    if (status == TR_OK)
        return EXIT_SUCCESS;
    tr_complain("trace-analyze", &err);
    return tr_exit_code(status);
}
