// SPDX-License-Identifier: Apache-2.0
// trace-info: what is inside a trace, how far it got, where it came from.
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "analysis/sizes.h"
#include "base/printable.h"
#include "base/strings.h"
#include "base/wrap.h"
#include "exit.h"
#include "info_options.h"
#include "leave.h"
#include "store/parts.h"
#include "store/store.h"

enum { COLUMNS = 80, KEY_COLUMNS = 16, FAILURES_SHOWN = 20 };

// ---- printing --------------------------------------------------------------------------------

// The text in lines of at most 80 columns, the first beginning at `column`, the others indented.
static void print_wrapped(int column, const char *text) {
    struct tr_wrap wrap = {.width = COLUMNS, .column = column, .indent = KEY_COLUMNS};
    struct tr_string lines = {0};
    while (*text) {
        size_t size = strcspn(text, "\n");
        tr_wrap_words(&lines, text, size, &wrap, NULL);
        text += size + strspn(text + size, " \n");
        if (*text)
            tr_string_format(&lines, NULL, "\n%*s", KEY_COLUMNS, "");
        wrap.column = KEY_COLUMNS;
    }
    puts(lines.size ? lines.data : "");
    tr_string_free(&lines);
}

static void print_line(const char *key, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void print_line(const char *key, const char *format, ...) {
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    tr_printable(line, strlen(line), "\n");
    int column = printf("  %-*s", KEY_COLUMNS - 2, key);
    if (column > KEY_COLUMNS)
        column += printf(" ");
    print_wrapped(column, line);
}

// ---- the series ------------------------------------------------------------------------------

struct range {
    double low, high;
};

static void widen(struct range *range, double value) {
    range->low = fmin(range->low, value); // fmin and fmax pass over NaN
    range->high = fmax(range->high, value);
}

static void describe_range(struct tr_string *text, const struct range *range, const char *unit) {
    char low[TR_HUMAN_MAX], high[TR_HUMAN_MAX];
    if (isnan(range->low))
        tr_string_format(text, NULL, ", %s unknown", unit);
    else if (range->high < 1e6)
        tr_string_format(text, NULL, ", %s %.0f to %.0f", unit, range->low, range->high);
    else
        tr_string_format(text, NULL, ", %s %s to %s", unit, tr_human_count(range->low, low),
                         tr_human_count(range->high, high));
}

// Prints rows [first, end), which are of one stage: rows are sorted, so they stand together.
static enum tr_status print_stage(const struct tr_trace *trace, int64_t first, int64_t end,
                                  struct tr_err *err) {
    struct range steps = {NAN, NAN}, tokens = {NAN, NAN};
    for (int64_t i = first; i < end; i++) {
        int64_t step;
        double seen;
        TR_TRY(tr_trace_read(trace, TR_V_STEP, i, 1, &step, err));
        TR_TRY(tr_trace_read(trace, TR_V_TOKENS_SEEN, i, 1, &seen, err));
        widen(&steps, step < 0 ? NAN : (double)step);
        widen(&tokens, seen);
    }
    struct tr_string text = {0};
    const char *stage = tr_trace_string(trace, TR_V_STAGE, first);
    if (*stage)
        tr_string_format(&text, NULL, "stage %s: ", stage);
    tr_string_format(&text, NULL, "%lld checkpoint%s", (long long)(end - first),
                     end - first == 1 ? "" : "s");
    describe_range(&text, &steps, "steps");
    describe_range(&text, &tokens, "tokens seen");
    if (text.data)
        print_line(first ? "" : "series", "%s", text.data);
    tr_string_free(&text);
    return TR_OK;
}

static enum tr_status print_series(const struct tr_trace *trace, struct tr_err *err) {
    int64_t rows = tr_trace_rows(trace), first = 0;
    for (int64_t i = 1; i <= rows; i++) {
        if (i < rows && !strcmp(tr_trace_string(trace, TR_V_STAGE, i),
                                tr_trace_string(trace, TR_V_STAGE, first)))
            continue;
        TR_TRY(print_stage(trace, first, i, err));
        first = i;
    }
    return TR_OK;
}

static enum tr_status print_progress(const struct tr_trace *trace, struct tr_err *err) {
    int64_t rows = tr_trace_rows(trace), failed = 0;
    for (int64_t i = 0; i < rows; i++) {
        uint8_t status;
        TR_TRY(tr_trace_read(trace, TR_V_STATUS, i, 1, &status, err));
        if (status == TR_ROW_COMPLETE)
            continue;
        if (failed++ < FAILURES_SHOWN)
            print_line("failed", "%s: %s", tr_trace_string(trace, TR_V_NAME, i),
                       tr_trace_string(trace, TR_V_ERROR, i));
    }
    if (failed > FAILURES_SHOWN)
        print_line("", "and %lld more", (long long)(failed - FAILURES_SHOWN));
    const struct tr_attribute *planned = tr_run_info_find(tr_trace_info(trace), "planned");
    char of[32] = "";
    if (planned && planned->is_number && planned->number > rows)
        snprintf(of, sizeof of, " of %lld", (long long)planned->number);
    print_line("progress", "%lld%s complete, %lld failed", (long long)(rows - failed), of,
               (long long)failed);
    return TR_OK;
}

// ---- the rest --------------------------------------------------------------------------------

static void print_layout(const struct tr_trace *trace) {
    const struct tr_layout *layout = &tr_trace_info(trace)->layout;
    print_line("layers", "%lld, each as attn, mlp and block", (long long)layout->layers);
    print_line("calibration", "%lld sequences of %lld tokens", (long long)layout->sequences,
               (long long)layout->seq_len);
    print_line("measured", "importance per layer and sequence, histograms, by position%s%s",
               layout->nll ? "; loss (nat per token)" : "",
               layout->per_token ? "; importance of every token" : "");
    if (layout->span_tokens)
        print_line("spans", "%lld tokens compared between blocks, the stream of %lld kept",
                   (long long)layout->span_tokens, (long long)layout->probes);
    if (layout->cost_sequences) {
        const struct tr_attribute *of = tr_run_info_find(tr_trace_info(trace), "cost");
        print_line("costs", "of leaving out %s alone, on %lld of the sequences",
                   of && of->text ? of->text : "sublayers", (long long)layout->cost_sequences);
    }
    if (layout->rounds)
        print_line("search", "%lld rounds among %lld sublayers or blocks",
                   (long long)layout->rounds, (long long)layout->candidates);
}

// Prints the calibration texts: consecutive sequences of one text are one line.
static void print_texts(const struct tr_run_info *info) {
    int64_t first = 0, count = info->layout.sequences;
    bool builtin = false;
    for (int64_t i = 1; i <= count; i++) {
        if (i < count && !strcmp(info->text[i], info->text[first]))
            continue;
        print_line(first ? "" : "texts", "%lld sequence%s of %s", (long long)(i - first),
                   i - first == 1 ? "" : "s", *info->text[first] ? info->text[first] : "no label");
        builtin |= !strcmp(info->text[first], "built-in");
        first = i;
    }
    if (builtin)
        print_line("",
                   "built-in: the program's own text, about 14 thousand tokens, which is little; "
                   "--text gives another");
}

static void print_sizes(const struct tr_trace *trace, const char *path) {
    uint64_t values, disk;
    char of_values[TR_HUMAN_MAX], of_disk[TR_HUMAN_MAX], of_file[TR_HUMAN_MAX];
    struct stat about;
    tr_trace_sizes(trace, &values, &disk);
    print_line("size", "%s in the file; %s of values take %s in it, %.2f times less",
               tr_human_bytes(stat(path, &about) ? NAN : (double)about.st_size, of_file),
               tr_human_bytes((double)values, of_values), tr_human_bytes((double)disk, of_disk),
               disk ? (double)values / (double)disk : 1.0);
}

// The model's sizes in words; what is wrong with them where they make no sense.
static void print_parameters(const struct tr_trace *trace, const char *path) {
    struct an_sizes sizes = {0};
    struct tr_string text = {0};
    struct tr_err err;
    enum tr_status status = an_sizes_read(&sizes, tr_trace_info(trace), path, &err);
    if (status == TR_OK && sizes.of)
        status = an_sizes_text(&text, &sizes, &err);
    if (status != TR_OK)
        print_line("parameters", "%s", err.text);
    else if (text.data)
        print_line("parameters", "%s", text.data);
    tr_string_free(&text);
    an_sizes_free(&sizes);
}

static void print_attributes(const struct tr_run_info *info) {
    printf("\nwhere it came from (* has to agree when the run goes on)\n");
    for (int64_t i = 0; i < info->count; i++) {
        const struct tr_attribute *attribute = &info->attributes[i];
        char key[64];
        if (strcmp(attribute->name, "sizes") == 0)
            continue; // print_parameters says it
        snprintf(key, sizeof key, "%s%s", attribute->name,
                 attribute->role == TR_IDENTITY ? " *" : "");
        tr_printable(key, strlen(key), "");
        if (attribute->is_number)
            print_line(key, "%lld", (long long)attribute->number);
        else
            print_line(key, "%s", attribute->text);
    }
}

// What --check found: it reads everything and compares it with what was written.
static enum tr_status print_check(const struct tr_trace *trace, struct tr_err *err) {
    struct tr_err part;
    TR_TRY(tr_trace_check(trace, err));
    enum tr_status whole = tr_trace_check_whole(trace, &part);
    if (whole != TR_OK && !tr_trace_sealed(trace))
        return tr_fail(err, whole, "%s", part.text);
    if (!tr_trace_digested(trace))
        print_line("check", "all can be read; schema 1.0 keeps no digests to compare it with");
    else
        print_line("check", "every value is what was written%s",
                   tr_trace_sealed(trace)
                       ? ", and every byte"
                       : "; another program has opened the file for writing since");
    if (whole != TR_OK)
        print_line("", "%s", part.text);
    return TR_OK;
}

static enum tr_status print_trace(const struct tr_trace *trace, const char *path,
                                  struct tr_err *err) {
    TR_TRY(print_series(trace, err));
    TR_TRY(print_progress(trace, err));
    print_layout(trace);
    print_parameters(trace, path);
    print_texts(tr_trace_info(trace));
    print_sizes(trace, path);
    print_attributes(tr_trace_info(trace));
    return TR_OK;
}

// Committed parts that are not in the file yet; *folder_p, of them, is freed with free().
static int64_t pending_parts(const char *path, char **folder_p) {
    struct tr_part_list parts;
    int64_t count = 0;
    *folder_p = NULL;
    if (tr_parts_path(folder_p, path, NULL) != TR_OK)
        return 0;
    if (tr_parts_list(&parts, *folder_p, NULL) == TR_OK)
        count = parts.count;
    tr_part_list_free(&parts);
    return count;
}

static int show(const char *path, bool check) {
    struct tr_trace *trace;
    struct tr_err err;
    char *folder;
    int64_t pending = pending_parts(path, &folder);
    enum tr_status status = tr_trace_open(&trace, path, &err);
    if (status == TR_OK) {
        tr_tell(stdout, path);
        putchar('\n');
        status = print_trace(trace, path, &err);
        if (status == TR_OK && check)
            status = print_check(trace, &err);
        tr_trace_close(trace);
    }
    if (pending) {
        printf("\n%lld more checkpoint%s committed in ", (long long)pending,
               pending == 1 ? "" : "s");
        tr_tell(stdout, folder);
        printf(", not yet published\n");
    }
    free(folder);
    if (status == TR_OK)
        return 0;
    tr_complain("trace-info", &err);
    return tr_exit_code(status);
}

// ---- the command line ------------------------------------------------------------------------

int main(int argc, char **argv) {
    struct info_options options = {0};
    program_parse(&trace_info_program, &options, argc, argv, true);
    return show(options.path, options.check);
}
