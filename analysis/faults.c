// SPDX-License-Identifier: Apache-2.0
// What is wrong with the data, said before anything is concluded from it.
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "computation.h"
#include "statistics/outlier.h"
#include "statistics/quantile.h"

const char *const an_fault_names[AN_FAULT_KINDS] = {
    "failed", "nonfinite", "angleless", "loss", "duplicate", "identical", "outlier", "missing"};

// A checkpoint is an outlier when half of all means are this far from their neighbours.
static const double far = 5.0;

// ---- the list --------------------------------------------------------------------------------

struct faults {
    struct an_fault *fault;
    int64_t count;
    uint64_t capacity;
    struct tr_string text; // of the next one
};

static enum tr_status add(struct faults *faults, enum an_fault_kind kind, int64_t checkpoint,
                          int64_t other, double value, struct tr_err *err) {
    TR_TRY(tr_grow((void **)&faults->fault, &faults->capacity, (uint64_t)faults->count + 1,
                   sizeof *faults->fault, "faults of the data", err));
    faults->fault[faults->count++] =
        (struct an_fault){kind, checkpoint, other, value, faults->text.data};
    faults->text = (struct tr_string){0};
    return TR_OK;
}

// ---- each kind -------------------------------------------------------------------------------

static enum tr_status find_failed(struct faults *faults, const struct an_series *series,
                                  struct tr_err *err) {
    for (int64_t i = 0; i < series->failed; i++) {
        TR_TRY(tr_string_format(&faults->text, err, "%s", series->failure[i]));
        TR_TRY(add(faults, AN_FAULT_FAILED, -1, -1, NAN, err));
    }
    return TR_OK;
}

// Adds a fault for each checkpoint: how many of its means lack tokens of a kind, and which lacks
// most.
static enum tr_status find_left_out(struct faults *faults, const struct an_series *series,
                                    const uint32_t *left_out, enum an_fault_kind kind,
                                    const char *what, struct tr_err *err) {
    int64_t cells = series->layers * TR_MODULES;
    for (int64_t c = 0; c < series->checkpoints; c++) {
        const uint32_t *tokens = left_out + c * cells;
        int64_t means = 0, worst = 0;
        for (int64_t i = 0; i < cells; i++) {
            means += tokens[i] > 0;
            if (tokens[i] > tokens[worst])
                worst = i;
        }
        if (means == 0)
            continue;
        TR_TRY(tr_string_format(&faults->text, err,
                                "%s: tokens %s are left out of %lld mean%s, most in %s %lld: %lu",
                                series->checkpoint[c].label, what, (long long)means,
                                means == 1 ? "" : "s", tr_module_names[worst % TR_MODULES],
                                (long long)(worst / TR_MODULES), (unsigned long)tokens[worst]));
        TR_TRY(add(faults, kind, c, -1, tokens[worst], err));
    }
    return TR_OK;
}

static enum tr_status find_nonfinite(struct faults *faults, const struct an_series *series,
                                     struct tr_err *err) {
    return find_left_out(faults, series, series->nonfinite, AN_FAULT_NONFINITE,
                         "with non-finite values", err);
}

static enum tr_status find_angleless(struct faults *faults, const struct an_series *series,
                                     struct tr_err *err) {
    return find_left_out(faults, series, series->angleless, AN_FAULT_ANGLELESS,
                         "without an angle (a stream of zeros)", err);
}

static enum tr_status find_losses(struct faults *faults, const struct an_series *series,
                                  struct tr_err *err) {
    for (int64_t c = 0; c < series->checkpoints; c++) {
        const struct an_checkpoint *checkpoint = &series->checkpoint[c];
        if (checkpoint->no_loss == 0)
            continue;
        TR_TRY(tr_string_format(
            &faults->text, err, "%s has no loss: it is not finite in %lld of %lld sequences",
            checkpoint->label, (long long)checkpoint->no_loss, (long long)series->sequences));
        TR_TRY(add(faults, AN_FAULT_LOSS, c, -1, (double)checkpoint->no_loss, err));
    }
    return TR_OK;
}

static enum tr_status find_duplicates(struct faults *faults, const struct an_series *series,
                                      struct tr_err *err) {
    for (int64_t c = 1; c < series->checkpoints; c++) {
        const struct an_checkpoint *checkpoint = series->checkpoint;
        int64_t same = 0;
        while (same < c && (!checkpoint[c].digest[0] ||
                            strcmp(checkpoint[c].digest, checkpoint[same].digest) != 0))
            same++;
        if (same == c)
            continue;
        TR_TRY(tr_string_format(&faults->text, err, "%s and %s have the same weights",
                                checkpoint[same].label, checkpoint[c].label));
        TR_TRY(add(faults, AN_FAULT_DUPLICATE, c, same, NAN, err));
    }
    return TR_OK;
}

static bool any_value(const double *values, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (!isnan(values[i]))
            return true;
    return false;
}

static enum tr_status find_identical(struct faults *faults, const struct an_series *series,
                                     struct tr_err *err) {
    int64_t cells = series->layers * TR_MODULES;
    const struct an_checkpoint *checkpoint = series->checkpoint;
    for (int64_t c = 1; c < series->checkpoints; c++) {
        const double *values = series->importance + c * cells;
        if (!any_value(values, cells) ||
            memcmp(values, values - cells, (size_t)cells * sizeof *values) != 0 ||
            (checkpoint[c].digest[0] &&
             strcmp(checkpoint[c].digest, checkpoint[c - 1].digest) == 0))
            continue;
        TR_TRY(tr_string_format(&faults->text, err, "%s and %s have the same values throughout",
                                checkpoint[c - 1].label, checkpoint[c].label));
        TR_TRY(add(faults, AN_FAULT_IDENTICAL, c, c - 1, NAN, err));
    }
    return TR_OK;
}

// z[cells, checkpoints] of the logarithm of every importance against its neighbours in time.
static enum tr_status neighbour_scores(double *z, const struct an_series *series,
                                       struct tr_err *err) {
    int64_t cells = series->layers * TR_MODULES, checkpoints = series->checkpoints;
    double *line;
    enum tr_status status = TR_OK;
    TR_TRY(TR_NEW(&line, checkpoints, "outliers", err));
    for (int64_t i = 0; i < cells && status == TR_OK; i++) {
        for (int64_t c = 0; c < checkpoints; c++) {
            double importance = series->importance[c * cells + i];
            line[c] = importance > 0.0 ? log(importance) : NAN;
        }
        status = an_neighbour_z(z + i * checkpoints, line, checkpoints, err);
    }
    free(line);
    return status;
}

static enum tr_status find_outliers(struct faults *faults, const struct an_series *series,
                                    struct tr_err *err) {
    int64_t cells = series->layers * TR_MODULES, checkpoints = series->checkpoints;
    double *z, *column;
    enum tr_status status;
    TR_TRY(TR_NEW(&z, cells * (checkpoints + 1), "outliers", err));
    column = z + cells * checkpoints;
    TR_GO(status, neighbour_scores(z, series, err), out);
    // The first and the last are left out, because they have neighbours on one side only.
    for (int64_t c = 1; c + 1 < checkpoints; c++) {
        for (int64_t i = 0; i < cells; i++)
            column[i] = fabs(z[i * checkpoints + c]);
        double score = an_median(column, an_keep_finite(column, cells));
        if (!(score > far))
            continue;
        TR_GO(status,
              tr_string_format(&faults->text, err,
                               "%s is far from its neighbours: half of all means are %.1f or more "
                               "robust standard deviations off",
                               series->checkpoint[c].label, score),
              out);
        TR_GO(status, add(faults, AN_FAULT_OUTLIER, c, -1, score, err), out);
    }
out:
    free(z);
    return status;
}

// How many steps are missing between two checkpoints, when the gaps on both sides are equal and
// this one is a multiple of them; 0: none. `gap` says how far the checkpoint after `c` is from it.
static int64_t gaps_missing(const struct an_series *series, int64_t c,
                            double (*gap)(const struct an_series *, int64_t)) {
    if (c < 1 || c + 2 >= series->checkpoints)
        return 0;
    double before = gap(series, c - 1), here = gap(series, c), after = gap(series, c + 1);
    double times = here / before;
    if (!(before > 0.0) || fabs(before - after) > 1e-9 * before || times < 1.5 ||
        fabs(times - round(times)) > 1e-9 * times)
        return 0;
    return (int64_t)round(times) - 1;
}

static double by_sum(const struct an_series *series, int64_t c) {
    return (double)(series->checkpoint[c + 1].step - series->checkpoint[c].step);
}

static double by_factor(const struct an_series *series, int64_t c) {
    int64_t a = series->checkpoint[c].step, b = series->checkpoint[c + 1].step;
    return a > 0 && b > a ? log((double)b / (double)a) : 0.0;
}

static enum tr_status find_missing(struct faults *faults, const struct an_series *series,
                                   struct tr_err *err) {
    for (int64_t c = 0; c + 1 < series->checkpoints; c++) {
        int64_t missing = gaps_missing(series, c, by_sum);
        if (missing == 0)
            missing = gaps_missing(series, c, by_factor);
        if (missing == 0)
            continue;
        TR_TRY(tr_string_format(&faults->text, err,
                                "between %s and %s %lld checkpoint%s of a regular progression %s "
                                "missing",
                                series->checkpoint[c].label, series->checkpoint[c + 1].label,
                                (long long)missing, missing == 1 ? "" : "s",
                                missing == 1 ? "is" : "are"));
        TR_TRY(add(faults, AN_FAULT_MISSING, c, c + 1, (double)missing, err));
    }
    return TR_OK;
}

enum tr_status an_faults_find(struct an_result *result, struct tr_err *err) {
    static enum tr_status (*const find[])(struct faults *, const struct an_series *,
                                          struct tr_err *) = {
        find_failed,     find_nonfinite, find_angleless, find_losses,
        find_duplicates, find_identical, find_outliers,  find_missing};
    struct faults faults = {0};
    enum tr_status status = TR_OK;
    for (size_t i = 0; i < sizeof find / sizeof find[0] && status == TR_OK; i++)
        status = find[i](&faults, &result->series, err);
    result->fault = faults.fault;
    result->faults = faults.count;
    tr_string_free(&faults.text);
    return status;
}
