// SPDX-License-Identifier: Apache-2.0
#ifndef AN_PLAN_CHOICE_H
#define AN_PLAN_CHOICE_H

#include "analysis/result.h"

// The units of the one group that was wanted that a plan leaves out, and by which rule.
struct an_plan_choice {
    const struct an_group_result *group;
    int64_t *unit; // [count] of the group, in the order in which they go
    int64_t count;
    double sum; // what the set costs if its units' values add up; of consecutive blocks what the
                // span itself does to the stream
    const char *rule; // "given", "consecutive", "budget", "below"; "mean", "worst" or "last"
};

// By the settings: a set that was given; else, where a budget was, the cheapest that keeps to it;
// else the best run of consecutive blocks, where that is asked; else those below tau at every
// checkpoint; else the lowest by settings.over. TR_EUSAGE when several groups were wanted or none
// has a value, a given set is not of the group, too few are not protected, or no spans are there.
enum tr_status an_plan_choose(struct an_plan_choice *choice, const struct an_result *result,
                              struct tr_err *err);
void an_plan_choice_free(struct an_plan_choice *choice);

// "below" without a count: the set may be empty, and has no probability.
bool an_plan_is_below(const struct an_settings *settings);

#endif
