// SPDX-License-Identifier: Apache-2.0
#include "statistics/choice.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "statistics/order.h"

// Room for one resample.
struct scratch {
    double *values;    // [candidates]
    int64_t *order;    // [candidates]
    int64_t *place_of; // [candidates] places in the estimate's order
};

static void pick(double *picked, const double *values, const int64_t *unit, int64_t candidates) {
    for (int64_t u = 0; u < candidates; u++)
        picked[u] = values[unit[u]];
}

static bool is_tied(const struct scratch *scratch, int64_t a, int64_t b) {
    return scratch->values[scratch->order[a]] == scratch->values[scratch->order[b]];
}

// Equals have each of their places in equal parts.
static void count_places(struct an_choice *choice, const struct scratch *scratch, int64_t finite) {
    for (int64_t first = 0, next; first < finite; first = next) {
        for (next = first + 1; next < finite && is_tied(scratch, first, next);)
            next++;
        for (int64_t i = first; i < next; i++)
            for (int64_t r = first; r < next; r++)
                choice->place[scratch->order[i] * choice->candidates + r] +=
                    1.0 / (double)(next - first);
    }
}

// The n lowest are the estimate's as a set when the highest of their places there is n - 1 and the
// next is not as low.
static void count_sets(struct an_choice *choice, const struct scratch *scratch, int64_t finite) {
    int64_t highest = -1;
    choice->set[0] += 1.0;
    for (int64_t r = 0; r < finite; r++) {
        int64_t place = scratch->place_of[scratch->order[r]];
        highest = place > highest ? place : highest;
        choice->set[r + 1] += highest == r && !(r + 1 < finite && is_tied(scratch, r, r + 1));
    }
}

static void count_all(struct an_choice *choice, const struct scratch *scratch, const double *draws,
                      int64_t count, int64_t units, const int64_t *unit) {
    int64_t candidates = choice->candidates;
    for (int64_t i = 0; i < count; i++) {
        pick(scratch->values, draws + i * units, unit, candidates);
        int64_t finite = an_order(scratch->order, scratch->values, candidates);
        count_places(choice, scratch, finite);
        count_sets(choice, scratch, finite);
    }
    for (int64_t i = 0; i < candidates * candidates; i++)
        choice->place[i] /= (double)count;
    for (int64_t n = 0; n <= candidates; n++)
        choice->set[n] /= (double)count;
}

static enum tr_status allocate(struct an_choice *choice, struct scratch *scratch,
                               struct tr_err *err) {
    int64_t candidates = choice->candidates;
    uint64_t square;
    if (!tr_mul((uint64_t)candidates, (uint64_t)candidates, &square))
        return tr_fail(err, TR_ENOMEM, "no memory for the choice");
    TR_TRY(TR_NEW(&choice->order, candidates, "the choice", err));
    TR_TRY(TR_NEW(&choice->place, square, "the choice", err));
    TR_TRY(TR_NEW(&choice->set, candidates + 1, "the choice", err));
    TR_TRY(TR_NEW(&scratch->values, candidates, "the choice", err));
    TR_TRY(TR_NEW(&scratch->order, candidates, "the choice", err));
    return TR_NEW(&scratch->place_of, candidates, "the choice", err);
}

enum tr_status an_choose(struct an_choice *choice, const double *estimate, const double *draws,
                         int64_t count, int64_t units, const int64_t *unit, int64_t candidates,
                         struct tr_err *err) {
    struct an_choice new = {.candidates = candidates};
    struct scratch scratch = {0};
    enum tr_status status;
    if (candidates < 1 || count < 1)
        return tr_fail(err, TR_EUSAGE, "no choice between %lld units by %lld resamples",
                       (long long)candidates, (long long)count);
    TR_GO(status, allocate(&new, &scratch, err), out);
    pick(scratch.values, estimate, unit, candidates);
    new.present = an_order(new.order, scratch.values, candidates);
    for (int64_t r = 0; r < candidates; r++)
        scratch.place_of[new.order[r]] = r;
    count_all(&new, &scratch, draws, count, units, unit);
    *choice = new;
out:
    if (status != TR_OK)
        an_choice_free(&new);
    free(scratch.values);
    free(scratch.order);
    free(scratch.place_of);
    return status;
}

void an_choice_free(struct an_choice *choice) {
    free(choice->order);
    free(choice->place);
    free(choice->set);
}

double an_choice_probability(const struct an_choice *choice, int64_t u, int64_t n) {
    double sum = 0.0;
    for (int64_t r = 0; r < n && r < choice->candidates; r++)
        sum += choice->place[u * choice->candidates + r];
    return fmin(sum, 1.0);
}

enum tr_status an_choice_cuts(struct an_cut *cuts, const struct an_choice *choice,
                              const struct an_sample *sample, double level, struct tr_err *err) {
    for (int64_t n = 1; n < choice->present; n++) {
        struct an_cut *cut = &cuts[n - 1];
        cut->last = choice->order[n - 1];
        cut->next = choice->order[n];
        cut->margin = sample[cut->next].estimate - sample[cut->last].estimate;
        TR_TRY(an_difference(&cut->interval, &sample[cut->next], &sample[cut->last], level, err));
        cut->probability = choice->set[n];
        cut->clean = cut->interval.low > 0.0 && cut->probability >= level;
    }
    return TR_OK;
}

void an_clean_neighbours(int64_t *below, int64_t *above, const struct an_cut *cuts, int64_t present,
                         int64_t n) {
    *below = *above = 0;
    for (int64_t i = 1; i < present; i++) {
        if (cuts[i - 1].clean && i < n)
            *below = i;
        if (cuts[i - 1].clean && i > n && *above == 0)
            *above = i;
    }
}
