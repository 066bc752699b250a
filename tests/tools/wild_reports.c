// SPDX-License-Identifier: Apache-2.0
// wild_reports FOLDER FIRST COUNT: what is said of little data, COUNT times from number FIRST on.
// Report N ranks the store of seed N / 6 (wild.h) by criterion N % 6, and every thirtieth is laid
// beside the next seed's store. Prints one line of JSON each: `number`, `by`, what trace-analyze
// --json would write as `result`, what --full would print as `text`; where the store cannot be
// ranked so, the sentence as `refused`, and it is ranked by importance. One process makes all of
// them, so that ten thousand take minutes. FOLDER holds two stores for a while.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/report.h"
#include "analysis/result_json.h"
#include "base/strings.h"
#include "wild.h"

enum { RESAMPLES = 100, BESIDE_EVERY = 30, COLUMNS = 80 };

// The store that reports are of, and the one that it is laid beside.
static char *paths[2];

static enum tr_status analyze(struct an_result *result, const char *path, enum an_by by,
                              struct tr_err *err) {
    const struct an_settings settings = {.wanted = {true, true, true, true},
                                         .by = by,
                                         .below = NAN,
                                         .from = INT64_MIN,
                                         .resamples = RESAMPLES,
                                         .level = 0.95};
    struct tr_trace *trace;
    TR_TRY(tr_trace_open(&trace, path, err));
    enum tr_status status = an_analyze(result, trace, path, &settings, err);
    tr_trace_close(trace);
    return status;
}

// Puts the result and its text into the line.
static enum tr_status add(json_t *line, const struct an_result *result,
                          const struct an_comparison *comparison, const struct an_result *second,
                          struct tr_err *err) {
    const struct an_report how = {.style = {.width = COLUMNS}, .sections = AN_FULL, .whole = true};
    struct tr_string text = {0};
    json_t *value;
    TR_TRY(an_result_json(&value, result, comparison, err));
    enum tr_status status = an_report_write(result, comparison, second, &how, &text, err);
    if (json_object_set_new(line, "result", value) != 0 ||
        (status == TR_OK && json_object_set_new(line, "text", json_string(text.data)) != 0))
        status = tr_fail(err, TR_ENOMEM, "out of memory");
    tr_string_free(&text);
    return status;
}

static enum tr_status print(json_t *line, struct tr_err *err) {
    int failed = json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(line);
    putchar('\n');
    return failed ? tr_fail(err, TR_EIO, "stdout: cannot be written") : TR_OK;
}

static json_t *begin(int64_t number, enum an_by by) {
    return json_pack("{s:I,s:s}", "number", (json_int_t)number, "by", an_criteria[by].name);
}

static enum tr_status report(int64_t number, struct tr_err *err) {
    struct an_result result = {0};
    enum an_by by = (enum an_by)(number % AN_CRITERIA);
    json_t *line = begin(number, by);
    enum tr_status status = analyze(&result, paths[0], by, err);
    if (status != TR_OK) {
        json_object_set_new(line, "refused", json_string(err->text));
        status = analyze(&result, paths[0], AN_BY_IMPORTANCE, err);
    }
    if (status == TR_OK)
        status = add(line, &result, NULL, NULL, err);
    an_result_free(&result);
    if (status == TR_OK)
        return print(line, err);
    json_decref(line);
    return status;
}

struct work {
    struct an_result result[2];
    struct an_comparison comparison;
};

// Two stores beside each other, ranked by importance.
static enum tr_status beside(int64_t number, struct tr_err *err) {
    struct work work = {0};
    json_t *line = begin(number, AN_BY_IMPORTANCE);
    enum tr_status status = write_wild(paths[1], (uint64_t)(number / AN_CRITERIA + 1), err);
    for (int i = 0; i < 2 && status == TR_OK; i++)
        status = analyze(&work.result[i], paths[i], AN_BY_IMPORTANCE, err);
    if (status == TR_OK) {
        status = an_compare(&work.comparison, &work.result[0], &work.result[1], err);
        if (status == TR_OK) {
            status = add(line, &work.result[0], &work.comparison, &work.result[1], err);
        } else {
            status = TR_OK;
            json_object_set_new(line, "refused", json_string(err->text));
        }
    }
    an_comparison_free(&work.comparison);
    an_result_free(&work.result[0]);
    an_result_free(&work.result[1]);
    if (status == TR_OK)
        return print(line, err);
    json_decref(line);
    return status;
}

static enum tr_status make_all(int64_t first, int64_t count, struct tr_err *err) {
    for (int64_t number = first; number < first + count; number++) {
        if (number == first || number % AN_CRITERIA == 0)
            TR_TRY(write_wild(paths[0], (uint64_t)(number / AN_CRITERIA), err));
        TR_TRY(report(number, err));
        if (number % BESIDE_EVERY == 1)
            TR_TRY(beside(number, err));
    }
    return TR_OK;
}

int main(int argc, char **argv) {
    int64_t first, count;
    struct tr_err err;
    if (argc != 4 || !tr_parse_i64(argv[2], 0, INT64_MAX / 2, &first) ||
        !tr_parse_i64(argv[3], 1, INT64_MAX / 2, &count))
        return 2;
    enum tr_status status = tr_path_join(&paths[0], argv[1], "wild.h5", &err);
    if (status == TR_OK)
        status = tr_path_join(&paths[1], argv[1], "other.h5", &err);
    if (status == TR_OK)
        status = make_all(first, count, &err);
    free(paths[0]);
    free(paths[1]);
    if (status != TR_OK)
        fprintf(stderr, "wild_reports: %s\n", err.text);
    return status == TR_OK ? 0 : 1;
}
