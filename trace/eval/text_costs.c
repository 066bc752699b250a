// SPDX-License-Identifier: Apache-2.0
#include "eval/text_costs.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/drop_set.h"
#include "page_table.h"
#include "statistics/interval.h"
#include "store/trace.h"

// What is said of a set: means over rows of a variable. Of the first two the single costs of its
// sublayers are summed, where they were measured.
static const struct {
    enum tr_variable_id set, single; // single: TR_VARIABLES where there is none
    const char *title;
    bool has_sign;
} measures[] = {{TR_V_SET_NLL, TR_V_DROP_NLL, "Added loss", true},
                {TR_V_SET_KL, TR_V_DROP_KL, "KL", false},
                {TR_V_SET_JS, TR_VARIABLES, "JS", false},
                {TR_V_SET_ANGLE, TR_VARIABLES, "Angle", false},
                {TR_V_SET_AGREE, TR_VARIABLES, "Agreement", false}};
enum { MEASURES = sizeof measures / sizeof *measures, MOST_COLUMNS = 5 + 3 * MEASURES };

struct text_costs {
    const struct tr_trace *trace;
    const struct tr_layout *layout;
    double level;
    struct tr_page_column columns[MOST_COLUMNS];
    struct tr_page_table table;
    bool has_singles;
    int64_t rows;             // of text, for sets
    double *nll;              // [sequences] the whole model's, traced
    double *base;             // [rows] the same on the sets' rows
    double *set[MEASURES];    // [sets, rows]
    double *single[MEASURES]; // [layers, modules, rows]
    double *values;           // [rows]
};

static void add_column(struct text_costs *t, const char *title, bool is_number, bool follows) {
    t->columns[t->table.column_count++] = (struct tr_page_column){title, is_number, follows};
}

static void set_columns(struct text_costs *t) {
    t->table.columns = t->columns;
    t->table.keys = 2;
    add_column(t, "Checkpoint", false, false);
    add_column(t, "Left out", false, false);
    add_column(t, "rows", true, false);
    add_column(t, "Loss", true, true);
    add_column(t, "Perplexity", true, true);
    for (int m = 0; m < MEASURES && t->layout->drop_sets; m++) {
        add_column(t, measures[m].title, true, false);
        add_column(t, "Interval", true, true);
        if (t->has_singles && measures[m].single < TR_VARIABLES)
            add_column(t, "One by one", true, true);
    }
}

static enum tr_status allocate(struct text_costs *t, struct tr_err *err) {
    static const char what[] = "what a text costs";
    int64_t sublayers = t->layout->layers * TR_MODULES;
    TR_TRY(TR_NEW(&t->nll, t->layout->sequences, what, err));
    TR_TRY(TR_NEW(&t->base, t->rows, what, err));
    for (int m = 0; m < MEASURES; m++) {
        TR_TRY(TR_NEW(&t->set[m], t->layout->drop_sets * t->rows, what, err));
        if (t->has_singles && measures[m].single < TR_VARIABLES)
            TR_TRY(TR_NEW(&t->single[m], sublayers * t->rows, what, err));
    }
    return TR_NEW(&t->values, t->rows, what, err);
}

static double mean_of(const double *values, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += values[i];
    return sum / (double)count;
}

// The mean of values, and its interval.
static enum tr_status add_mean(struct text_costs *t, const double *values, bool has_sign,
                               struct tr_err *err) {
    struct an_interval interval = {(double)NAN, (double)NAN, AN_NO_INTERVAL};
    struct an_sample sample = {
        .estimate = mean_of(values, t->rows), .sequences = t->rows, .pseudo = values};
    if (isfinite(sample.estimate))
        TR_TRY(an_interval(&interval, &sample, t->level, err));
    TR_TRY(tr_page_number(&t->table, sample.estimate, has_sign, err));
    return tr_page_interval(&t->table, interval.low, interval.high, has_sign, err);
}

static enum tr_status begin_row(struct text_costs *t, int64_t checkpoint, const char *left_out,
                                const double *loss, int64_t rows, struct tr_err *err) {
    double mean = mean_of(loss, rows);
    TR_TRY(tr_page_cell(&t->table, err, "%s", tr_trace_string(t->trace, TR_V_NAME, checkpoint)));
    TR_TRY(tr_page_cell(&t->table, err, "%s", left_out));
    TR_TRY(tr_page_cell(&t->table, err, "%lld", (long long)rows));
    TR_TRY(tr_page_number(&t->table, mean, false, err));
    return tr_page_number(&t->table, exp(mean), false, err);
}

static enum tr_status add_whole(struct text_costs *t, int64_t checkpoint, struct tr_err *err) {
    bool same = t->layout->drop_sets > 0; // the rows on which sets are compared
    TR_TRY(begin_row(t, checkpoint, "nothing", same ? t->base : t->nll,
                     same ? t->rows : t->layout->sequences, err));
    while (t->table.count % t->table.column_count)
        TR_TRY(tr_page_cell(&t->table, err, "%s", ""));
    return TR_OK;
}

// What is left of a measure's value beside the whole model's: of the loss the difference.
static double base_of(const struct text_costs *t, int m, int64_t row) {
    return measures[m].set == TR_V_SET_NLL ? t->base[row] : 0;
}

static enum tr_status add_singles(struct text_costs *t, const struct tr_drop_set *drop, int m,
                                  struct tr_err *err) {
    double sum = 0;
    for (int64_t layer = 0; layer < t->layout->layers; layer++)
        for (int module = TR_ATTN; module <= TR_MLP; module++)
            for (int64_t r = 0; r < t->rows; r++)
                if (tr_drop_set_has(drop, (enum tr_module)module, layer))
                    sum += t->single[m][(layer * TR_MODULES + module) * t->rows + r] -
                           base_of(t, m, r);
    return tr_page_number(&t->table, sum / (double)t->rows, measures[m].has_sign, err);
}

static enum tr_status add_measures(struct text_costs *t, int64_t set,
                                   const struct tr_drop_set *drop, struct tr_err *err) {
    for (int m = 0; m < MEASURES; m++) {
        for (int64_t r = 0; r < t->rows; r++)
            t->values[r] = t->set[m][set * t->rows + r] - base_of(t, m, r);
        TR_TRY(add_mean(t, t->values, measures[m].has_sign, err));
        if (t->single[m])
            TR_TRY(add_singles(t, drop, m, err));
    }
    return TR_OK;
}

static enum tr_status add_set(struct text_costs *t, int64_t checkpoint, int64_t set,
                              struct tr_err *err) {
    const struct tr_run_info *info = tr_trace_info(t->trace);
    struct tr_drop_set drop = {0};
    TR_TRY(tr_drop_set_parse(&drop, info->set_drop[set], err));
    enum tr_status status =
        begin_row(t, checkpoint, info->set_name[set], t->set[0] + set * t->rows, t->rows, err);
    if (status == TR_OK)
        status = add_measures(t, set, &drop, err);
    tr_drop_set_free(&drop);
    return status;
}

static enum tr_status read_checkpoint(struct text_costs *t, int64_t row, struct tr_err *err) {
    TR_TRY(tr_trace_read(t->trace, TR_V_NLL, row, 1, t->nll, err));
    if (!t->layout->drop_sets)
        return TR_OK;
    TR_TRY(tr_trace_read(t->trace, TR_V_BASE_NLL, row, 1, t->base, err));
    for (int m = 0; m < MEASURES; m++) {
        TR_TRY(tr_trace_read(t->trace, measures[m].set, row, 1, t->set[m], err));
        if (t->single[m])
            TR_TRY(tr_trace_read(t->trace, measures[m].single, row, 1, t->single[m], err));
    }
    return TR_OK;
}

static enum tr_status add_checkpoint(struct text_costs *t, int64_t row, struct tr_err *err) {
    TR_TRY(read_checkpoint(t, row, err));
    if (!isfinite(mean_of(t->nll, t->layout->sequences)))
        return TR_OK;
    TR_TRY(add_whole(t, row, err));
    for (int64_t set = 0; set < t->layout->drop_sets; set++)
        TR_TRY(add_set(t, row, set, err));
    return TR_OK;
}

static enum tr_status write_legend(const struct text_costs *t, struct tr_string *out,
                                   struct tr_err *err) {
    TR_TRY(tr_string_format(out, err,
                            "Packed: rows of %lld tokens, each by itself, of which the first is "
                            "not predicted. In nats.\n",
                            (long long)t->layout->seq_len));
    if (!t->layout->drop_sets)
        return TR_OK;
    TR_TRY(tr_string_format(out, err,
                            "From the whole model, paired by row, with %.3g %% intervals "
                            "(skewness-corrected t).\n",
                            100 * t->level));
    if (!t->has_singles)
        return TR_OK;
    return tr_string_format(out, err,
                            "One by one: what leaving out each of its sublayers alone costs, "
                            "added up.\n");
}

static enum tr_status make(struct text_costs *t, struct tr_string *out, struct tr_err *err) {
    set_columns(t);
    TR_TRY(allocate(t, err));
    for (int64_t row = 0; row < tr_trace_rows(t->trace); row++)
        TR_TRY(add_checkpoint(t, row, err));
    TR_TRY(tr_page_write(&t->table, out, err));
    return t->table.count ? write_legend(t, out, err) : TR_OK;
}

enum tr_status tr_text_costs_table(const char *path, double level, struct tr_string *out,
                                   struct tr_err *err) {
    struct tr_trace *trace;
    TR_TRY(tr_trace_open(&trace, path, err));
    const struct tr_layout *layout = &tr_trace_info(trace)->layout;
    struct text_costs t = {.trace = trace,
                           .layout = layout,
                           .level = level,
                           .has_singles = tr_run_info_find(tr_trace_info(trace), "cost") != NULL,
                           .rows = layout->cost_sequences};
    enum tr_status status = layout->nll ? make(&t, out, err) : TR_OK;
    free(t.nll);
    free(t.base);
    for (int m = 0; m < MEASURES; m++) {
        free(t.set[m]);
        free(t.single[m]);
    }
    free(t.values);
    tr_page_free(&t.table);
    tr_trace_close(trace);
    return status;
}
