// SPDX-License-Identifier: Apache-2.0
#ifndef TR_JSONL_H
#define TR_JSONL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

// Takes one object of a file of lines; `what` names file and line. Clears *more_p to stop there.
typedef enum tr_status tr_jsonl_fn(void *user, const json_t *object, const char *what, bool *more_p,
                                   struct tr_err *err);

// Hands each line of bytes[0, size) that is not blank to `take`; each must be a JSON object.
enum tr_status tr_jsonl_each(const char *bytes, size_t size, const char *path, tr_jsonl_fn *take,
                             void *user, struct tr_err *err);

#endif
