// SPDX-License-Identifier: Apache-2.0
#ifndef AN_RESULT_JSON_H
#define AN_RESULT_JSON_H

#include "analysis/compare.h"
#include "analysis/result.h"
#include "base/json.h"
#include "base/status.h"

enum { AN_JSON_VERSION = 1 };

// Everything in a result, and in the comparison with another one (NULL: none), as
// analysis/result.schema.json describes it; freed with json_decref. A number that the data cannot
// support is null. TR_ENOMEM.
enum tr_status an_result_json(json_t **value_p, const struct an_result *result,
                              const struct an_comparison *comparison, struct tr_err *err);

#endif
