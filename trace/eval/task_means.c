// SPDX-License-Identifier: Apache-2.0
#include "eval/task_means.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "eval/task_metrics.h"
#include "page_table.h"

// The score of a task, NULL: it has none, or no document.
static const struct tr_metric *score_of(const struct tr_task *task) {
    for (int i = 0; i < tr_metric_count; i++) {
        const struct tr_metric *metric = &tr_metrics[i];
        bool scores =
            strcmp(metric->name, "acc") == 0 ||
            (metric->kind == TR_TASK_GENERATE && strcmp(metric->name, "exact_match") == 0);
        if (scores && tr_metric_applies(metric, task))
            return metric;
    }
    return NULL;
}

// A task's documents, whole and without a set.
struct stratum {
    struct tr_measurement whole, without;
};

struct pairing {
    struct stratum *strata; // [count] tasks with a score
    int64_t count, documents;
    double whole, without; // means over tasks
    double level;
    double *pseudo; // [documents]
};

static void free_pairing(struct pairing *p) {
    for (int64_t k = 0; p->strata && k < p->count; k++) {
        tr_measurement_free(&p->strata[k].whole);
        tr_measurement_free(&p->strata[k].without);
    }
    free(p->strata);
    free(p->pseudo);
}

static enum tr_status add_stratum(struct pairing *p, const struct tr_task_plan *plan,
                                  const struct tr_likelihood *likelihoods, int64_t set,
                                  struct tr_err *err) {
    const struct tr_metric *metric = score_of(plan->task);
    struct stratum *s = &p->strata[p->count];
    if (!metric)
        return TR_OK;
    TR_TRY(tr_measurement_make(&s->whole, metric, plan->task, likelihoods, plan->first, err));
    if (!s->whole.documents) {
        tr_measurement_free(&s->whole);
        return TR_OK;
    }
    p->count++;
    p->documents += s->whole.documents;
    p->whole += s->whole.estimate;
    TR_TRY(tr_measurement_make(&s->without, metric, plan->task, likelihoods + set * plan->requests,
                               plan->first, err));
    p->without += s->without.estimate;
    return TR_OK;
}

// d = (without - share whole) / scale, as pseudo-values around theta.
static enum tr_status find_interval(const struct pairing *p, double theta, double share,
                                    double scale, struct an_interval *interval,
                                    struct tr_err *err) {
    double *to = p->pseudo;
    *interval = (struct an_interval){(double)NAN, (double)NAN, AN_NO_INTERVAL};
    for (int64_t k = 0; k < p->count; k++) {
        const struct stratum *s = &p->strata[k];
        double n = (double)s->whole.documents;
        double weight = (double)p->documents / ((double)p->count * n) / scale;
        double mean = s->without.estimate - share * s->whole.estimate;
        for (int64_t i = 0; i < s->whole.documents; i++)
            *to++ = theta + weight * (s->without.value[i] - share * s->whole.value[i] - mean);
    }
    struct an_sample sample = {.estimate = theta, .sequences = p->documents, .pseudo = p->pseudo};
    return isfinite(theta) ? an_interval(interval, &sample, p->level, err) : TR_OK;
}

static enum tr_status compare(const struct pairing *p, struct tr_task_mean *mean,
                              struct tr_err *err) {
    mean->difference = p->without - p->whole;
    mean->share = p->whole > 0 ? p->without / p->whole : (double)NAN;
    TR_TRY(find_interval(p, mean->difference, 1, 1, &mean->difference_interval, err));
    return find_interval(p, mean->share, mean->share, p->whole, &mean->share_interval, err);
}

static enum tr_status add_mean(struct tr_task_means *means, int64_t checkpoint, int64_t set,
                               struct pairing *p, struct tr_err *err) {
    static const struct an_interval none = {(double)NAN, (double)NAN, AN_NO_INTERVAL};
    if (p->count < 2)
        return TR_OK;
    p->whole /= (double)p->count;
    p->without /= (double)p->count;
    TR_TRY(tr_grow((void **)&means->means, &means->capacity, (uint64_t)means->count + 1,
                   sizeof *means->means, "means", err));
    struct tr_task_mean *mean = &means->means[means->count++];
    *mean = (struct tr_task_mean){.checkpoint = checkpoint,
                                  .set = set,
                                  .tasks = p->count,
                                  .documents = p->documents,
                                  .value = p->without,
                                  .difference = (double)NAN,
                                  .share = (double)NAN,
                                  .difference_interval = none,
                                  .share_interval = none};
    TR_TRY(TR_NEW(&p->pseudo, p->documents, "pseudo-values", err));
    return set ? compare(p, mean, err) : TR_OK;
}

enum tr_status tr_task_means_add(struct tr_task_means *means, int64_t checkpoint,
                                 const struct tr_named_sets *sets, const struct tr_task_plan *plans,
                                 int64_t count, struct tr_likelihood *const *likelihoods,
                                 double level, struct tr_err *err) {
    for (int64_t set = 0; set <= sets->count; set++) {
        struct pairing p = {.level = level};
        enum tr_status status = TR_NEW(&p.strata, count, "tasks", err);
        for (int64_t t = 0; t < count && status == TR_OK; t++)
            status = add_stratum(&p, &plans[t], likelihoods[t], set, err);
        if (status == TR_OK)
            status = add_mean(means, checkpoint, set, &p, err);
        free_pairing(&p);
        TR_TRY(status);
    }
    return TR_OK;
}

void tr_task_means_free(struct tr_task_means *means) {
    free(means->means);
    *means = (struct tr_task_means){0};
}

// ---- what is said of them ----------------------------------------------------------------------

static const char *name_of(const struct tr_named_sets *sets, int64_t set, const char *whole) {
    return set ? sets->sets[set - 1].name : whole;
}

static enum tr_status add_row(struct tr_page_table *table, const struct tr_task_mean *m,
                              char *const *checkpoints, const struct tr_named_sets *sets,
                              struct tr_err *err) {
    const struct an_interval *difference = &m->difference_interval, *share = &m->share_interval;
    TR_TRY(tr_page_cell(table, err, "%s", checkpoints[m->checkpoint]));
    TR_TRY(tr_page_cell(table, err, "%s", name_of(sets, m->set, "nothing")));
    TR_TRY(tr_page_cell(table, err, "%lld", (long long)m->tasks));
    TR_TRY(tr_page_number(table, m->value, false, err));
    for (int i = 0; i < 4 && !m->set; i++)
        TR_TRY(tr_page_cell(table, err, "%s", ""));
    if (!m->set)
        return TR_OK;
    TR_TRY(tr_page_number(table, m->difference, true, err));
    TR_TRY(tr_page_interval(table, difference->low, difference->high, true, err));
    TR_TRY(tr_page_number(table, m->share, false, err));
    return tr_page_interval(table, share->low, share->high, false, err);
}

enum tr_status tr_task_means_table(const struct tr_task_means *means, char *const *checkpoints,
                                   const struct tr_named_sets *sets, double level,
                                   struct tr_string *out, struct tr_err *err) {
    static const struct tr_page_column columns[] = {
        {"Checkpoint", false, false}, {"Left out", false, false},  {"Tasks", true, false},
        {"Mean score", true, true},   {"Difference", true, false}, {"Interval", true, true},
        {"Retained", true, false},    {"Interval", true, true}};
    struct tr_page_table table = {
        .columns = columns, .column_count = sizeof columns / sizeof *columns, .keys = 2};
    enum tr_status status = TR_OK;
    if (!means->count)
        return TR_OK;
    for (int64_t i = 0; i < means->count && status == TR_OK; i++)
        status = add_row(&table, &means->means[i], checkpoints, sets, err);
    if (status == TR_OK)
        status = tr_string_format(out, err, "\n");
    if (status == TR_OK)
        status = tr_page_write(&table, out, err);
    tr_page_free(&table);
    TR_TRY(status);
    return tr_string_format(out, err,
                            "The mean of the tasks' acc or exact_match, each task counting the "
                            "same, and its share of the\nwhole model's; paired by document, %.3g "
                            "%% intervals.\n",
                            100 * level);
}

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_string("N/A");
}

json_t *tr_task_means_json(const struct tr_task_means *means, char *const *checkpoints,
                           const struct tr_named_sets *sets) {
    json_t *list = json_array();
    for (int64_t i = 0; i < means->count; i++) {
        const struct tr_task_mean *m = &means->means[i];
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "checkpoint",
                            checkpoints[m->checkpoint], "drop", name_of(sets, m->set, ""), "tasks",
                            (json_int_t)m->tasks, "documents", (json_int_t)m->documents, "mean",
                            number(m->value), "difference", number(m->difference), "difference_low",
                            number(m->difference_interval.low), "difference_high",
                            number(m->difference_interval.high), "retained", number(m->share),
                            "retained_low", number(m->share_interval.low), "retained_high",
                            number(m->share_interval.high)));
    }
    return list;
}
