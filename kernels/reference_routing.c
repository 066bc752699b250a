// SPDX-License-Identifier: Apache-2.0
// Which experts each row goes to, as the formulas read.
#include <math.h>
#include <string.h>

#include "check.h"
#include "reference_entries.h"

static void softmax(float *values, int64_t count) {
    double exponentials[KN_MAX_EXPERTS], total = 0;
    float highest = values[0];
    for (int64_t i = 1; i < count; i++)
        highest = fmaxf(highest, values[i]);
    for (int64_t i = 0; i < count; i++)
        total += exponentials[i] = exp((double)values[i] - (double)highest);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(exponentials[i] / total);
}

// NaN counts as the highest value, so that the experts of a broken model have an order, too.
static bool is_higher(float a, float b) {
    return a > b || (isnan(a) && !isnan(b));
}

// The indices of the `used` highest values, the highest first, of equals the lower index first.
static void best_of(const float *values, int64_t count, int64_t used, int32_t *best) {
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i < used ? i : used - 1;
        if (i >= used && !is_higher(values[i], values[best[at]]))
            continue;
        for (; at > 0 && is_higher(values[i], values[best[at - 1]]); at--)
            best[at] = best[at - 1];
        best[at] = (int32_t)i;
    }
}

// The sum of a group's `counted` highest scores, no more than it has.
static float group_sum(const float *scores, int64_t size, int64_t counted) {
    int32_t members[2];
    float sum = 0;
    counted = counted < size ? counted : size;
    best_of(scores, size, counted, members);
    for (int64_t m = 0; m < counted; m++)
        sum += scores[members[m]];
    return sum;
}

// The scores of experts outside the best groups are set to `never`.
static void limit_groups(const struct kn_route *op, float *scores, int64_t counted, float never) {
    int64_t size = op->logits.cols / op->groups;
    float sums[KN_MAX_EXPERT_GROUPS];
    bool eligible[KN_MAX_EXPERT_GROUPS] = {false};
    int32_t kept[KN_MAX_EXPERT_GROUPS];
    for (int64_t g = 0; g < op->groups; g++)
        sums[g] = group_sum(scores + g * size, size, counted);
    best_of(sums, op->groups, op->groups_used, kept);
    for (int64_t k = 0; k < op->groups_used; k++)
        eligible[kept[k]] = true;
    for (int64_t e = 0; e < op->logits.cols; e++)
        if (!eligible[e / size])
            scores[e] = never;
}

static void sort_ascending(int32_t *values, int64_t count) {
    for (int64_t i = 1; i < count; i++) {
        int32_t value = values[i];
        int64_t at = i;
        for (; at > 0 && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
}

// By the highest of p and its correction; with `sigmoid` in the best groups of those.
static void choose_corrected(const struct kn_route *op, const float *p, int32_t *chosen) {
    float corrected[KN_MAX_EXPERTS];
    for (int64_t e = 0; e < op->logits.cols; e++)
        corrected[e] = p[e] + (op->correction ? op->correction[e] : 0);
    if (op->sigmoid && op->groups > 1)
        limit_groups(op, corrected, 2, -INFINITY);
    best_of(corrected, op->logits.cols, op->used, chosen);
}

static void choose_by_softmax(const struct kn_route *op, float *logits, int32_t *chosen) {
    softmax(logits, op->logits.cols);
    if (op->groups > 1)
        limit_groups(op, logits, 1, 0);
    choose_corrected(op, logits, chosen);
}

static float sigmoid(float value) {
    return (float)(1 / (1 + exp(-(double)value)));
}

static void choose_by_sigmoid(const struct kn_route *op, float *logits, int32_t *chosen) {
    for (int64_t e = 0; e < op->logits.cols; e++)
        logits[e] = sigmoid(logits[e]);
    choose_corrected(op, logits, chosen);
}

void kn_route_row(const struct kn_route *op, int64_t row) {
    float *p = kn_reference_row(&op->logits, row), *weights = op->weights + row * op->used;
    int32_t *chosen = op->positions + row * op->used;
    float total = 0;
    if (op->sigmoid)
        choose_by_sigmoid(op, p, chosen);
    else
        choose_by_softmax(op, p, chosen);
    for (int64_t k = 0; k < op->used; k++)
        total += p[chosen[k]];
    sort_ascending(chosen, op->used);
    float scale = (op->normalise ? 1 / total : 1) * op->scale;
    for (int64_t k = 0; k < op->used; k++)
        weights[k] = p[chosen[k]] * scale;
    if (op->shared_weights)
        op->shared_weights[row] = op->shared_gates ? sigmoid(op->shared_gates[row]) : 1;
}

// The positions hold experts; each is read once, before its place is known.
void kn_route_sort(const struct kn_route *op) {
    int64_t *first = op->first, entries = op->logits.rows * op->used, experts = op->logits.cols;
    memset(first, 0, (size_t)(experts + 1) * sizeof *first);
    for (int64_t i = 0; i < entries; i++)
        first[op->positions[i] + 1]++;
    for (int64_t e = 0; e < experts; e++)
        first[e + 1] += first[e];
    for (int64_t i = 0; i < entries; i++) { // first[e] moves on to where expert e ends
        int64_t to = first[op->positions[i]]++;
        op->rows[to] = (int32_t)(i / op->used);
        op->positions[i] = (int32_t)to;
    }
    memmove(first + 1, first, (size_t)experts * sizeof *first);
    first[0] = 0;
}

enum kn_status kn_reference_route(struct kn_backend *self, const struct kn_route *op) {
    (void)self;
    KN_TRY(kn_check_route(op));
    for (int64_t r = 0; r < op->logits.rows; r++)
        kn_route_row(op, r);
    kn_route_sort(op);
    return KN_OK;
}
