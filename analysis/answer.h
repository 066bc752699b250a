// SPDX-License-Identifier: Apache-2.0
#ifndef AN_ANSWER_H
#define AN_ANSWER_H

#include "writer.h"

// What a report's first lines are made of: the set of the lowest units of w->group, at length where
// one group is asked for, and in a line each where several are.

extern const char *const an_answer_titles[AN_GROUPS]; // "Attention", ...

const char *an_degree_of(double probability); // "sure", "likely", ...
bool an_is_all(const struct an_writer *w);    // nothing is left to choose
bool an_has_intervals(const struct an_writer *w);
// Of training, that the member has which is least often among the lowest.
double an_least_share(const struct an_writer *w);
// Those of one set that are not of the other, into w->list; how many.
int64_t an_list_others(struct an_writer *w, enum an_aggregate of, enum an_aggregate not_of);
// Members that rounding alone may have told apart, where a divergence is ranked by.
int64_t an_count_noise(const struct an_writer *w);

// Several groups in a line each, and what measured costs say of all of them in another. The joint
// ranking is left to its chapter: what importance says of a cost differs between attention and MLP
// (D11), so that of all rankings it is the last that a first answer should give.
enum tr_status an_write_short_answers(struct an_writer *w, struct tr_err *err);

#endif
