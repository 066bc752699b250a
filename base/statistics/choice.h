// SPDX-License-Identifier: Apache-2.0
#ifndef AN_CHOICE_H
#define AN_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "statistics/interval.h"

// Which units are the N lowest by some aggregate, for every N at once, and how sure that is.
// Candidates are a subset of a panel's units (one module of a store's, or two for a joint ranking);
// below, a candidate is its index in that subset.
struct an_choice {
    int64_t candidates;
    int64_t present; // those with an estimate
    int64_t *order;  // [candidates] by the estimate, lowest first; ties to the lower; absent last
    double *place;   // [candidates, candidates] place[u, r]: share of resamples in which u is r-th;
                     // equals share their places
    double *set;     // [candidates + 1] set[n]: share in which the n lowest are order[0, n) as a
                     // set, all below the rest
};

// estimate[units] and draws[count, units] are one aggregate's (an_aggregate; an_draws.of[which]);
// unit[candidates] picks from the units. TR_ENOMEM; TR_EUSAGE for no candidates or resamples.
enum tr_status an_choose(struct an_choice *choice, const double *estimate, const double *draws,
                         int64_t count, int64_t units, const int64_t *unit, int64_t candidates,
                         struct tr_err *err);
void an_choice_free(struct an_choice *choice);

// The share of resamples in which candidate u is among the n lowest.
double an_choice_probability(const struct an_choice *choice, int64_t u, int64_t n);

// Between the n lowest and the rest: by how much the next candidate is above the last one chosen,
// paired over sequences.
struct an_cut {
    int64_t last, next; // candidates
    double margin;
    struct an_interval interval;
    double probability; // of the set: an_choice.set[n]
    bool clean;         // the interval is above 0 and the set's probability at least `level`
};

// cuts[present - 1]: cuts[n - 1] is the cut after n. sample[candidates]: each candidate's estimate,
// pseudo-values and draws by the same aggregate (for AN_WORST leave the draws NULL: the interval of
// a maximum is not a percentile's). TR_ENOMEM.
enum tr_status an_choice_cuts(struct an_cut *cuts, const struct an_choice *choice,
                              const struct an_sample *sample, double level, struct tr_err *err);

// The nearest clean cuts to n among cuts[1 ... present - 1]: the largest below and the smallest
// above; 0 for none.
void an_clean_neighbours(int64_t *below, int64_t *above, const struct an_cut *cuts, int64_t present,
                         int64_t n);

#endif
