// SPDX-License-Identifier: Apache-2.0
#include "eval/task_metrics.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"

// ---- choices -----------------------------------------------------------------------------------

// What likelihoods of choices are compared by: log p less `alone`, over `length`.
struct comparison {
    const int64_t *length;             // NULL: 1
    const struct tr_likelihood *alone; // NULL: none
};

static double length_of(const struct comparison *by, int64_t i) {
    return by->length ? (double)by->length[i] : 1;
}

static double compared(const struct comparison *by, const struct tr_likelihood *l, int64_t i) {
    return (l[i].sum - (by->alone ? by->alone[i].sum : 0)) / length_of(by, i);
}

static struct tr_observation choose(const struct tr_document *d, const struct tr_likelihood *l,
                                    const struct comparison *by) {
    struct tr_observation observation = {.weight = 1};
    int64_t best = 0;
    for (int64_t i = 1; i < d->choices; i++)
        if (compared(by, l, i) > compared(by, l, best))
            best = i;
    for (int64_t i = 0; i < d->choices; i++) {
        double shortest = fmin(length_of(by, i), length_of(by, best));
        double lead = compared(by, l, best) - compared(by, l, i);
        observation.near_tie = observation.near_tie || (i != best && lead < TR_NEAR_TIE / shortest);
    }
    observation.value = d->gold[best] ? 1 : 0;
    return observation;
}

static struct tr_observation observe_acc(const struct tr_document *d,
                                         const struct tr_likelihood *l) {
    struct comparison by = {0};
    return choose(d, l, &by);
}

static struct tr_observation observe_acc_norm(const struct tr_document *d,
                                              const struct tr_likelihood *l) {
    struct comparison by = {.length = d->characters};
    return choose(d, l, &by);
}

static struct tr_observation observe_acc_bytes(const struct tr_document *d,
                                               const struct tr_likelihood *l) {
    struct comparison by = {.length = d->bytes};
    return choose(d, l, &by);
}

static struct tr_observation observe_mutual_info(const struct tr_document *d,
                                                 const struct tr_likelihood *l) {
    struct comparison by = {.alone = l + d->choices};
    return choose(d, l, &by);
}

static struct tr_observation observe_exact_match(const struct tr_document *d,
                                                 const struct tr_likelihood *l) {
    struct tr_observation observation = {.weight = 1};
    for (int64_t i = 0; i < d->choices; i++)
        if (d->gold[i] && l[i].greedy)
            observation.value = 1;
    return observation;
}

// ---- likelihoods -------------------------------------------------------------------------------

static struct tr_observation observe_greedy(const struct tr_document *d,
                                            const struct tr_likelihood *l) {
    (void)d;
    return (struct tr_observation){.value = l->greedy ? 1 : 0, .weight = 1};
}

static struct tr_observation observe_sum(const struct tr_document *d,
                                         const struct tr_likelihood *l) {
    (void)d;
    return (struct tr_observation){.value = l->sum, .weight = 1};
}

static struct tr_observation observe_words(const struct tr_document *d,
                                           const struct tr_likelihood *l) {
    return (struct tr_observation){.value = l->sum, .weight = (double)d->words};
}

static struct tr_observation observe_bytes(const struct tr_document *d,
                                           const struct tr_likelihood *l) {
    return (struct tr_observation){.value = l->sum, .weight = (double)d->text_bytes};
}

const struct tr_metric tr_metrics[] = {
    {"acc", TR_TASK_CHOICE, true, TR_AS_IS, false, observe_acc},
    {"acc_norm", TR_TASK_CHOICE, true, TR_AS_IS, false, observe_acc_norm},
    {"acc_bytes", TR_TASK_CHOICE, true, TR_AS_IS, false, observe_acc_bytes},
    {"acc_mutual_info", TR_TASK_CHOICE, true, TR_AS_IS, true, observe_mutual_info},
    {"exact_match", TR_TASK_CHOICE, true, TR_AS_IS, false, observe_exact_match},
    {"acc", TR_TASK_LIKELIHOOD, true, TR_AS_IS, false, observe_greedy},
    {"perplexity", TR_TASK_LIKELIHOOD, false, TR_EXP_MINUS, false, observe_sum},
    {"word_perplexity", TR_TASK_ROLLING, false, TR_EXP_MINUS, false, observe_words},
    {"byte_perplexity", TR_TASK_ROLLING, false, TR_EXP_MINUS, false, observe_bytes},
    {"bits_per_byte", TR_TASK_ROLLING, false, TR_MINUS_BITS, false, observe_bytes},
    {"exact_match", TR_TASK_GENERATE, true, TR_AS_IS, false, observe_greedy},
    {"new_tokens", TR_TASK_GENERATE, true, TR_AS_IS, false, observe_sum},
    {"loss", TR_TASK_STRIDED, false, TR_MINUS, false, observe_words},
    {"perplexity", TR_TASK_STRIDED, false, TR_EXP_MINUS, false, observe_words},
};
const int tr_metric_count = sizeof tr_metrics / sizeof *tr_metrics;

bool tr_metric_applies(const struct tr_metric *metric, const struct tr_task *task) {
    if (metric->kind != task->kind)
        return false;
    // Texts are compared with targets, and counted where there are none.
    if (metric->kind == TR_TASK_GENERATE && task->count)
        return (metric->observe == observe_greedy) ==
               (task->documents[0].generate.target_count > 0);
    for (int64_t d = 0; metric->needs_alone && d < task->count; d++)
        if (task->documents[d].count != 2 * task->documents[d].choices)
            return false;
    return true;
}

// ---- of all documents --------------------------------------------------------------------------

static double transformed(enum tr_metric_form transform, double ratio) {
    switch (transform) {
    case TR_EXP_MINUS:
        return exp(-ratio);
    case TR_MINUS_BITS:
        return -ratio / log(2.0);
    case TR_MINUS:
        return -ratio;
    default:
        return ratio;
    }
}

// How fast the transform changes with the ratio.
static double slope(enum tr_metric_form transform, double ratio) {
    switch (transform) {
    case TR_EXP_MINUS:
        return exp(-ratio);
    case TR_MINUS_BITS:
        return 1 / log(2.0);
    default:
        return 1;
    }
}

static void totals(const struct tr_measurement *m, double *value_p, double *weight_p) {
    *value_p = *weight_p = 0;
    for (int64_t i = 0; i < m->documents; i++) {
        *value_p += m->value[i];
        *weight_p += m->weight[i];
    }
}

// Of a ratio r: sqrt(n / (n - 1) sum (value - r weight)^2) / sum weight. With weights of 1 that is
// the standard error of a mean.
static void estimate(struct tr_measurement *m, enum tr_metric_form transform) {
    double value, weight, squares = 0, n = (double)m->documents;
    totals(m, &value, &weight);
    double ratio = value / weight;
    for (int64_t i = 0; i < m->documents; i++)
        squares += pow(m->value[i] - ratio * m->weight[i], 2);
    m->estimate = transformed(transform, ratio);
    m->error = m->documents > 1 ? slope(transform, ratio) * sqrt(n / (n - 1) * squares) / weight
                                : (double)NAN;
}

enum tr_status tr_measurement_make(struct tr_measurement *measurement,
                                   const struct tr_metric *metric, const struct tr_task *task,
                                   const struct tr_likelihood *likelihoods, const int64_t *first,
                                   struct tr_err *err) {
    struct tr_measurement made = {0};
    TR_TRY(TR_NEW(&made.value, task->count, "a metric", err));
    enum tr_status status = TR_NEW(&made.weight, task->count, "a metric", err);
    if (status != TR_OK) {
        free(made.value);
        return status;
    }
    for (int64_t d = 0; d < task->count; d++) {
        if (task->documents[d].fault)
            continue;
        struct tr_observation seen = metric->observe(&task->documents[d], likelihoods + first[d]);
        made.value[made.documents] = seen.value;
        made.weight[made.documents++] = seen.weight;
        made.near_ties += seen.near_tie;
    }
    estimate(&made, metric->transform);
    *measurement = made;
    return TR_OK;
}

void tr_measurement_free(struct tr_measurement *measurement) {
    free(measurement->value);
    free(measurement->weight);
    *measurement = (struct tr_measurement){0};
}

// ---- differences -------------------------------------------------------------------------------

// pseudo += sign * (n theta - (n - 1) theta without the document)
static void add_pseudo(double *pseudo, const struct tr_measurement *m,
                       enum tr_metric_form transform, double sign) {
    double value, weight, n = (double)m->documents;
    totals(m, &value, &weight);
    for (int64_t i = 0; i < m->documents; i++) {
        double without = (value - m->value[i]) / (weight - m->weight[i]);
        pseudo[i] += sign * (n * m->estimate - (n - 1) * transformed(transform, without));
    }
}

// P(X <= few) of a binomial of n trials with probability 1/2, twice, at most 1.
static double two_sided(int64_t few, int64_t n) {
    double sum = 0;
    for (int64_t k = 0; k <= few; k++)
        sum += exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) -
                   (double)n * log(2.0));
    return fmin(1, 2 * sum);
}

// Documents that changed sides; of values other than right and wrong there are no sides.
static void count_sides(struct tr_task_difference *difference, const struct tr_measurement *of,
                        const struct tr_measurement *against) {
    for (int64_t i = 0; i < of->documents; i++) {
        difference->gained += of->value[i] > against->value[i];
        difference->lost += of->value[i] < against->value[i];
    }
    int64_t few = difference->gained < difference->lost ? difference->gained : difference->lost;
    difference->p = two_sided(few, difference->gained + difference->lost);
}

enum tr_status tr_task_difference_make(struct tr_task_difference *difference,
                                       const struct tr_metric *metric,
                                       const struct tr_measurement *of,
                                       const struct tr_measurement *against, double level,
                                       struct tr_err *err) {
    double *pseudo;
    *difference =
        (struct tr_task_difference){.estimate = of->estimate - against->estimate,
                                    .interval = {(double)NAN, (double)NAN, AN_NO_INTERVAL},
                                    .p = (double)NAN};
    if (metric->transform == TR_AS_IS)
        count_sides(difference, of, against);
    if (of->documents < 2)
        return TR_OK;
    TR_TRY(TR_NEW(&pseudo, of->documents, "pseudo-values", err));
    add_pseudo(pseudo, of, metric->transform, 1);
    add_pseudo(pseudo, against, metric->transform, -1);
    struct an_sample sample = {
        .estimate = difference->estimate, .sequences = of->documents, .pseudo = pseudo};
    enum tr_status status = an_interval(&difference->interval, &sample, level, err);
    free(pseudo);
    return status;
}
