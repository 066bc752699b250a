// SPDX-License-Identifier: Apache-2.0
#ifndef TR_FACTS_H
#define TR_FACTS_H

#include "base/json.h"
#include "torch/torch_global.h"

// What trainers write down about a model, whatever the syntax, as one JSON object of plain values.
// Objects are freed with json_decref. Internal.

// A dict or an object's attributes: numbers, texts, bools, None, and dicts of those; other values
// are left out.
enum tr_status tr_facts_of_value(json_t **facts_p, const struct tr_value *value,
                                 struct tr_err *err);

// YAML as trainers' dumps have it: JSON, or a line "key: value" for each scalar at the outermost
// level. Lines that say something else (nested ones, lists) are left out.
enum tr_status tr_facts_of_yaml(json_t **facts_p, const char *bytes, size_t size, const char *what,
                                struct tr_err *err);

// The value under keys with dots between them, borrowed; NULL when absent or null. A key counts
// with
// '-' for '_', too.
const json_t *tr_fact(const json_t *facts, const char *path);

// The same as a number or a bool; false when there is none.
bool tr_fact_i64(const json_t *facts, const char *path, int64_t *value_p);
bool tr_fact_f64(const json_t *facts, const char *path, double *value_p);
bool tr_fact_true(const json_t *facts, const char *path);

#endif
