// SPDX-License-Identifier: Apache-2.0
#ifndef TR_JSON_H
#define TR_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strings.h"

// Strict JSON through jansson: duplicate keys, trailing bytes, invalid UTF-8 and nesting deeper
// than jansson's limit are refused; a byte order mark is not. `what` (a path) opens the sentence.
// Python's Infinity and NaN tokens, which json.dump writes, are let pass, but are values of no type
// that the readers below take: whoever asks for such a member is told. Its integers beyond 64 bits
// are reals. The value is freed with json_decref.
enum tr_status tr_json_parse(json_t **value_p, const char *bytes, size_t size, const char *what,
                             struct tr_err *err);

// The file's value; `limit` bytes at most.
enum tr_status tr_json_load(json_t **value_p, const char *path, uint64_t limit, struct tr_err *err);

// Typed members. An absent key or a null leaves *value_p untouched and succeeds, so the caller
// writes the default first; a value of another type is TR_EFORMAT naming `what`, key and type.
// Strings are borrowed from the object. Numbers accept an integral real such as 1e4 as i64.
enum tr_status tr_json_i64(const json_t *object, const char *key, int64_t *value_p,
                           const char *what, struct tr_err *err);
enum tr_status tr_json_f64(const json_t *object, const char *key, double *value_p, const char *what,
                           struct tr_err *err);
enum tr_status tr_json_bool(const json_t *object, const char *key, bool *value_p, const char *what,
                            struct tr_err *err);
enum tr_status tr_json_string(const json_t *object, const char *key, const char **value_p,
                              const char *what, struct tr_err *err);

// Whether a value stands for one of Python's Infinity and NaN tokens.
bool tr_json_is_nonfinite(const json_t *value);

// Members that hold others, borrowed; NULL when absent or null.
enum tr_status tr_json_object(const json_t *object, const char *key, const json_t **value_p,
                              const char *what, struct tr_err *err);
enum tr_status tr_json_list(const json_t *object, const char *key, const json_t **value_p,
                            const char *what, struct tr_err *err);

// Writing: numbers with as many digits as say them, laid out as jansson's flags say (JSON_COMPACT,
// JSON_INDENT(1)), with a line end. Both take the value over; NULL is TR_ENOMEM of `what` or
// `path`.
enum tr_status tr_json_append(json_t *value, size_t flags, const char *what, struct tr_string *out,
                              struct tr_err *err);
enum tr_status tr_json_save(json_t *value, size_t flags, const char *path, struct tr_err *err);

#endif
