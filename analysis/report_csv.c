// SPDX-License-Identifier: Apache-2.0
// The layers of all groups as CSV (RFC 4180): for spreadsheets and scripts.
#include <math.h>
#include <string.h>

#include "writer.h"

static const char *const columns[] = {
    "ranked", "module",      "layer",      "mean",     "mean_low",  "mean_high",
    "worst",  "worst_below", "last",       "last_low", "last_high", "mean_rank",
    "share",  "in_mean",     "in_worst",   "in_last",  "p_mean",    "p_worst",
    "p_last", "onset",       "orthogonal", "untrained"};

// A number that reads back the same; nothing where there is none.
static enum tr_status add_number(struct tr_string *out, double value, struct tr_err *err) {
    return isfinite(value) ? tr_string_format(out, err, ",%.17g", value)
                           : tr_string_append(out, ",", 1, err);
}

static enum tr_status add_estimates(struct tr_string *out, const struct an_unit *unit,
                                    struct tr_err *err) {
    const double cells[] = {unit->by[AN_MEAN].value, unit->by[AN_MEAN].low,
                            unit->by[AN_MEAN].high,  unit->by[AN_WORST].value,
                            unit->by[AN_WORST].high, unit->by[AN_LAST].value,
                            unit->by[AN_LAST].low,   unit->by[AN_LAST].high,
                            unit->mean_rank,         unit->share};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        TR_TRY(add_number(out, cells[i], err));
    return TR_OK;
}

// Whether it is in each set, and how probable that is.
static enum tr_status add_sets(struct tr_string *out, const struct an_group_result *group,
                               int64_t unit, bool known, struct tr_err *err) {
    for (int which = 0; which < AN_AGGREGATES; which++) {
        int inside = 0;
        for (int64_t i = 0; i < group->count; i++)
            inside |= group->set[which].choice.order[i] == unit;
        TR_TRY(tr_string_format(out, err, ",%d", inside));
    }
    for (int which = 0; which < AN_AGGREGATES; which++) {
        const struct an_choice *choice = &group->set[which].choice;
        TR_TRY(
            add_number(out, known ? an_choice_probability(choice, unit, group->count) : NAN, err));
    }
    return TR_OK;
}

// Labels may quote a file.
static enum tr_status add_label(struct tr_string *out, const char *label, struct tr_err *err) {
    TR_TRY(tr_string_append(out, ",", 1, err));
    if (!strpbrk(label, ",\"\r\n"))
        return tr_string_format(out, err, "%s", label);
    TR_TRY(tr_string_append(out, "\"", 1, err));
    for (; *label; label++)
        TR_TRY(tr_string_format(out, err, *label == '"' ? "\"\"" : "%c", *label));
    return tr_string_append(out, "\"", 1, err);
}

static enum tr_status add_row(struct tr_string *out, const struct an_result *result,
                              const struct an_group_result *group, int64_t u, struct tr_err *err) {
    const struct an_unit *unit = &group->unit[u];
    TR_TRY(tr_string_format(out, err, "%s,%s,%lld", an_group_names[group->group],
                            tr_module_names[unit->module], (long long)unit->layer));
    TR_TRY(add_estimates(out, unit, err));
    TR_TRY(add_sets(out, group, u, result->method != AN_NO_INTERVAL, err));
    TR_TRY(
        add_label(out, unit->onset < 0 ? "" : result->series.checkpoint[unit->onset].label, err));
    TR_TRY(add_number(out, unit->orthogonal.value, err));
    TR_TRY(add_number(out, unit->untrained.value, err));
    return tr_string_append(out, "\r\n", 2, err);
}

enum tr_status an_write_csv(const struct an_result *result, struct tr_string *out,
                            struct tr_err *err) {
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        TR_TRY(tr_string_format(out, err, "%s%s", i ? "," : "", columns[i]));
    TR_TRY(tr_string_append(out, "\r\n", 2, err));
    for (int which = 0; which < AN_GROUPS; which++) {
        const struct an_group_result *group = result->group[which];
        for (int64_t u = 0; group && u < group->units; u++)
            TR_TRY(add_row(out, result, group, u, err));
    }
    return TR_OK;
}
