// SPDX-License-Identifier: Apache-2.0
#ifndef AN_UNIT_SET_H
#define AN_UNIT_SET_H

#include "analysis/result.h"
#include "base/strings.h"

// What plans share: of which group they are, which units they may take, and a set of units as text.

// The one group that was wanted; `what` begins the sentence ("a plan is of"). TR_EUSAGE when
// several were, or no layer of the one has a value.
enum tr_status an_only_group(const struct an_group_result **group_p, const struct an_result *result,
                             const char *what, struct tr_err *err);

// Whether plans leave the unit's layer alone.
bool an_is_protected(const struct an_result *result, const struct an_unit *unit);

// Appends the canonical text (drop_set.h) of the group's units unit[count].
enum tr_status an_unit_set_text(struct tr_string *text, const struct an_group_result *group,
                                const int64_t *unit, int64_t count, struct tr_err *err);

#endif
