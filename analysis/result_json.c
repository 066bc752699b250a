// SPDX-License-Identifier: Apache-2.0
// Members are made on the way down: json_pack takes them over, and a NULL anywhere, which is memory
// that was lacking, makes the whole NULL.
#include "analysis/result_json.h"

#include <math.h>
#include <stdlib.h>

#include "store/utf8.h"

// ---- pieces ----------------------------------------------------------------------------------

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *place(int64_t index) {
    return index < 0 ? json_null() : json_integer(index);
}

static json_t *estimate(const struct an_estimate *e) {
    return json_pack("{s:o, s:o, s:o}", "value", number(e->value), "low", number(e->low), "high",
                     number(e->high));
}

// An array of what `item` makes of each index, in `context`.
static json_t *array(int64_t count, json_t *(*item)(const void *context, int64_t index),
                     const void *context) {
    json_t *list = json_array();
    for (int64_t i = 0; i < count && list; i++)
        if (json_array_append_new(list, item(context, i)) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static json_t *number_item(const void *values, int64_t i) {
    return number(((const double *)values)[i]);
}

static json_t *numbers(const double *values, int64_t count) {
    return array(count, number_item, values);
}

// ---- settings, series, faults ----------------------------------------------------------------

static json_t *settings(const struct an_result *result) {
    const struct an_settings *s = &result->settings;
    return json_pack("{s:o, s:o, s:o, s:I, s:I, s:f, s:s}", "count",
                     place(s->count - (s->count == 0)), "below", number(s->below), "from_step",
                     s->from == INT64_MIN ? json_null() : json_integer(s->from), "resamples",
                     (json_int_t)s->resamples, "seed", (json_int_t)s->seed, "level", s->level,
                     "interval", an_method_name(result->method));
}

static json_t *checkpoint(const void *series, int64_t i) {
    const struct an_checkpoint *c = &((const struct an_series *)series)->checkpoint[i];
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:f, s:o}", "label", c->label, "name",
                     c->name, "stage", c->stage, "weights_digest", c->digest, "step",
                     place(c->step), "tokens_seen", number(c->tokens), "time", number(c->at),
                     "weight", c->weight, "nll", number(c->nll));
}

static json_t *series(const struct an_series *s, const char *path) {
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:I, s:o, s:b, s:I, s:o}", "path",
                     path, "model", s->model, "tokens_digest", s->tokens_digest, "layers",
                     (json_int_t)s->layers, "sequences", (json_int_t)s->sequences, "seq_len",
                     (json_int_t)s->seq_len, "samples", (json_int_t)s->sampled, "axis",
                     an_axis_names[s->axis], "first", (json_int_t)s->first, "untrained",
                     place(s->untrained), "unfinished", s->unfinished, "failed",
                     (json_int_t)s->failed, "checkpoints", array(s->checkpoints, checkpoint, s));
}

static json_t *fault(const void *result, int64_t i) {
    const struct an_fault *f = &((const struct an_result *)result)->fault[i];
    return json_pack("{s:s, s:o, s:o, s:o, s:s}", "kind", an_fault_names[f->kind], "checkpoint",
                     place(f->checkpoint), "other", place(f->other), "value", number(f->value),
                     "text", f->text);
}

// ---- units -----------------------------------------------------------------------------------

static json_t *change(const struct an_change *c) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "at", place(c->at), "total", estimate(&c->total),
                     "written", estimate(&c->delta), "stream", estimate(&c->stream), "direction",
                     estimate(&c->direction));
}

static json_t *change_item(const void *changes, int64_t i) {
    return change(&((const struct an_change *)changes)[i]);
}

static json_t *unit(const void *group, int64_t i) {
    const struct an_unit *u = &((const struct an_group_result *)group)->unit[i];
    json_t *when =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "onset", place(u->onset), "trend_z",
                  number(u->trend_z), "trend_p", number(u->trend_p), "slope", estimate(&u->slope),
                  "whole", change(&u->whole), "changes", array(u->changes, change_item, u->change));
    json_t *nulls = json_pack("{s:o, s:o, s:o}", "untrained", estimate(&u->untrained), "orthogonal",
                              estimate(&u->orthogonal), "share_p", number(u->share_p));
    return json_pack("{s:I, s:s, s:o, s:o, s:I, s:o, s:f, s:f, s:o, s:o, s:b, s:o, s:o}", "layer",
                     (json_int_t)u->layer, "module", tr_module_names[u->module], "mean",
                     estimate(&u->by[AN_MEAN]), "worst", estimate(&u->by[AN_WORST]), "worst_at",
                     (json_int_t)u->worst_at, "last", estimate(&u->by[AN_LAST]), "mean_rank",
                     u->mean_rank, "share", u->share, "below_p", number(u->below_p), "below_q",
                     number(u->below_q), "below", u->below, "when", when, "chance", nulls);
}

// ---- sets ------------------------------------------------------------------------------------

// One set, and whether its probabilities mean anything.
struct set_view {
    const struct an_set *set;
    int64_t count;
    bool resampled;
};

static json_t *member(const void *view, int64_t i) {
    return json_integer(((const struct set_view *)view)->set->choice.order[i]);
}

static json_t *probability(const void *view, int64_t u) {
    const struct set_view *v = view;
    return v->resampled ? number(an_choice_probability(&v->set->choice, u, v->count)) : json_null();
}

static json_t *cut(const void *view, int64_t i) {
    const struct set_view *v = view;
    const struct an_cut *c = &v->set->cut[i];
    struct an_estimate margin = {c->margin, c->interval.low, c->interval.high};
    return json_pack("{s:I, s:I, s:I, s:o, s:o, s:b}", "count", (json_int_t)(i + 1), "last",
                     (json_int_t)c->last, "next", (json_int_t)c->next, "margin", estimate(&margin),
                     "probability", v->resampled ? number(c->probability) : json_null(), "clean",
                     c->clean);
}

static json_t *tie(const void *view, int64_t i) {
    const struct an_tie *t = &((const struct set_view *)view)->set->tie[i];
    return json_pack("{s:I, s:I, s:o}", "inside", (json_int_t)t->inside, "outside",
                     (json_int_t)t->outside, "difference", estimate(&t->difference));
}

static json_t *set(const struct an_result *result, const struct an_group_result *group,
                   enum an_aggregate which) {
    const struct an_choice *choice = &group->set[which].choice;
    struct set_view view = {&group->set[which], group->count, result->method != AN_NO_INTERVAL};
    int64_t members = group->count < choice->present ? group->count : choice->present;
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "units", array(members, member, &view), "order",
        array(choice->present, member, &view), "probability",
        view.resampled ? number(choice->set[members]) : json_null(), "inside",
        array(group->units, probability, &view), "cuts", array(choice->present - 1, cut, &view),
        "ties", array(group->set[which].ties, tie, &view), "clean_below",
        place(group->set[which].clean_below - (group->set[which].clean_below == 0)), "clean_above",
        place(group->set[which].clean_above - (group->set[which].clean_above == 0)));
}

// ---- groups ----------------------------------------------------------------------------------

static json_t *agreement(const void *list, int64_t i) {
    const struct an_agreement *a = &((const struct an_agreement *)list)[i];
    return json_pack("{s:o, s:o, s:o, s:o}", "spearman", number(a->spearman), "tau_b",
                     number(a->tau), "jaccard", number(a->jaccard), "rbo", number(a->rbo));
}

static json_t *stability(const struct an_stability *s, int64_t checkpoints) {
    const struct an_concordance *c = &s->concordance;
    json_t *w =
        json_pack("{s:o, s:o, s:I, s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:o}", "w", number(c->w),
                  "mean_spearman", number(c->mean_spearman), "checkpoints",
                  (json_int_t)c->checkpoints, "units", (json_int_t)c->units, "correlation_time",
                  number(c->correlation_time), "block_time", number(c->block_time), "block",
                  (json_int_t)c->block, "gap", (json_int_t)c->gap, "blocks", (json_int_t)c->blocks,
                  "relabellings", (json_int_t)c->relabellings, "p", number(c->p));
    return json_pack("{s:o, s:o, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:o}", "concordance", w,
                     "share_threshold", number(s->threshold), "jaccard_chance", s->jaccard_chance,
                     "rbo_chance", s->rbo_chance, "rbo_persistence", AN_PERSISTENCE, "with_last",
                     array(checkpoints, agreement, s->last), "with_previous",
                     array(checkpoints, agreement, s->previous), "overlap_with_last",
                     numbers(s->overlap, checkpoints), "onset_most", place(s->onset_most),
                     "onset_all", place(s->onset_all));
}

// A group's importance, [checkpoints, units].
struct matrix {
    const double *values;
    int64_t columns;
};

static json_t *matrix_row(const void *matrix, int64_t i) {
    const struct matrix *m = matrix;
    return numbers(m->values + i * m->columns, m->columns);
}

static json_t *group_of(const struct an_result *result, const struct an_group_result *group) {
    struct matrix importance = {group->importance, group->units};
    int64_t checkpoints = result->series.checkpoints;
    json_t *sets = json_object();
    for (int which = 0; which < AN_AGGREGATES && sets; which++)
        if (json_object_set_new(sets, an_aggregate_names[which], set(result, group, which)) != 0) {
            json_decref(sets);
            sets = NULL;
        }
    return json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "module",
                     an_group_names[group->group], "count", (json_int_t)group->count, "absent",
                     (json_int_t)group->absent, "with_gaps", (json_int_t)group->gappy, "below",
                     place(group->below), "units", array(group->units, unit, group), "importance",
                     array(checkpoints, matrix_row, &importance), "stability",
                     stability(&group->stability, checkpoints), "sets", sets);
}

static json_t *groups(const struct an_result *result) {
    json_t *list = json_array();
    for (int group = 0; group < AN_GROUPS && list; group++)
        if (result->group[group] &&
            json_array_append_new(list, group_of(result, result->group[group])) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

// ---- spans -----------------------------------------------------------------------------------

static json_t *span(const void *spans, int64_t i) {
    const struct an_span *s = &((const struct an_spans *)spans)->span[i];
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "length", (json_int_t)s->length,
                     "start", (json_int_t)s->start, "importance", number(s->importance), "worst",
                     number(s->worst), "last", number(s->last), "share", number(s->share),
                     "last_start", place(s->last_start));
}

static json_t *drift(const void *list, int64_t i) {
    const struct an_drift *d = &((const struct an_drift *)list)[i];
    return json_pack("{s:o, s:o}", "cosine", estimate(&d->cosine), "cka", number(d->cka));
}

// The drift of all boundaries, [checkpoints, boundaries].
struct drifts {
    const struct an_drift *list;
    int64_t boundaries;
};

static json_t *drift_row(const void *drifts, int64_t i) {
    const struct drifts *d = drifts;
    return array(d->boundaries, drift, d->list + i * d->boundaries);
}

static json_t *drift_rows(const struct an_result *result, const struct an_drift *list) {
    struct drifts drifts = {list, result->spans->boundaries};
    return list ? array(result->series.checkpoints, drift_row, &drifts) : json_null();
}

static json_t *spans(const struct an_result *result) {
    if (!result->spans)
        return json_null();
    return json_pack("{s:o, s:o, s:o}", "windows",
                     array(result->spans->lengths, span, result->spans), "drift_previous",
                     drift_rows(result, result->spans->previous), "drift_last",
                     drift_rows(result, result->spans->last));
}

// ---- two runs --------------------------------------------------------------------------------

static json_t *compared_unit(const void *group, int64_t i) {
    const struct an_compared_unit *u = &((const struct an_compared_group *)group)->unit[i];
    return json_pack("{s:I, s:s, s:o, s:o, s:o}", "layer", (json_int_t)u->layer, "module",
                     tr_module_names[u->module], "first", estimate(&u->first), "second",
                     estimate(&u->second), "difference", estimate(&u->difference));
}

static json_t *compared_group(const void *comparison, int64_t i) {
    const struct an_compared_group *g = &((const struct an_comparison *)comparison)->group[i];
    return json_pack("{s:s, s:I, s:o, s:f, s:o, s:o, s:o}", "module", an_group_names[g->group],
                     "count", (json_int_t)g->count, "jaccard", estimate(&g->jaccard),
                     "jaccard_chance", g->jaccard_chance, "spearman", estimate(&g->spearman),
                     "tau_b", estimate(&g->tau), "units", array(g->units, compared_unit, g));
}

static json_t *pair(const void *comparison, int64_t i) {
    const struct an_pair *p = &((const struct an_comparison *)comparison)->pair[i];
    return json_pack("{s:I, s:I}", "first", (json_int_t)p->first, "second", (json_int_t)p->second);
}

static json_t *comparison_of(const struct an_comparison *c, const char *path) {
    return json_pack("{s:s, s:s, s:I, s:b, s:o, s:o}", "path", path, "axis", an_axis_names[c->axis],
                     "layers", (json_int_t)c->layers, "paired", c->paired, "checkpoints",
                     array(c->pairs, pair, c), "groups", array(c->groups, compared_group, c));
}

// ---- all -------------------------------------------------------------------------------------

static json_t *whole(const struct an_result *result, const struct an_comparison *comparison,
                     const char *path, const char *other) {
    return json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "schema", "trace-analyze",
                     "schema_version", AN_JSON_VERSION, "settings", settings(result), "series",
                     series(&result->series, path), "faults", array(result->faults, fault, result),
                     "groups", groups(result), "spans", spans(result), "comparison",
                     comparison ? comparison_of(comparison, other) : json_null());
}

enum tr_status an_result_json(json_t **value_p, const struct an_result *result,
                              const struct an_comparison *comparison, struct tr_err *err) {
    char *path = NULL, *other = NULL;
    enum tr_status status;
    TR_GO(status, tr_utf8_copy(&path, result->series.path, err), out);
    TR_GO(status, tr_utf8_copy(&other, comparison ? comparison->path : "", err), out);
    json_t *value = whole(result, comparison, path, other);
    if (value)
        *value_p = value;
    else
        status = tr_fail(err, TR_ENOMEM, "out of memory for the analysis as JSON");
out:
    free(path);
    free(other);
    return status;
}
