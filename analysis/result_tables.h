// SPDX-License-Identifier: Apache-2.0
#ifndef AN_RESULT_TABLES_H
#define AN_RESULT_TABLES_H

#include "analysis/compare.h"
#include "analysis/result.h"
#include "json_table.h"

// A result's structs as the objects of analysis/result.schema.json.

// What the rows' `make` get: the whole, and the group and set that are being written.
struct an_json_context {
    const struct an_result *result;
    const struct an_comparison *comparison; // NULL: none
    const struct an_search *search;         // NULL: none
    const char *path, *other;               // of the two stores, as UTF-8
    const struct an_group_result *group;
    const struct an_set *set;
};

extern const struct an_json_table an_json_result; // of struct an_result, from which all are reached
extern const struct an_json_table an_json_group;  // of struct an_group_result
extern const struct an_json_table an_json_trial;  // of struct an_trial
extern const struct an_json_table an_json_search; // of struct an_search
extern const struct an_json_table an_json_comparison; // of struct an_comparison
extern const struct an_json_table an_json_estimate;   // of struct an_estimate

#define AN_ESTIMATE(KEY, STRUCT, MEMBER) AN_OBJECT(KEY, STRUCT, MEMBER, &an_json_estimate)

// How many checkpoints the series has.
int64_t an_json_checkpoints(const struct an_json_context *context);

#endif
