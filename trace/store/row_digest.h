// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ROW_DIGEST_H
#define TR_ROW_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "store/row.h"

// What a row's digest says, computed where the row was measured and carried along with it:
// "row:<digest> similarity:<digest> importance:<digest> ...", each 16 hex digits of XXH3-128. A
// variable's is over its values, little-endian in C order. The row's is over what schema 1.0 has of
// one value a checkpoint, in the order of the schema, a string with the 0 behind it, and then over
// the text that follows.

// Of a whole row; freed with free().
enum tr_status tr_row_digest(char **text_p, const struct tr_row *row,
                             const struct tr_layout *layout, struct tr_err *err);

// Whether what `row` says of its checkpoint is what the digest is of; other values are not looked
// at and may be NULL.
enum tr_status tr_row_digest_scalars(bool *fits_p, const char *text, const struct tr_row *row,
                                     struct tr_err *err);

// Whether the values of one variable are. True for what is not in the text: variables that were
// added.
bool tr_row_digest_values(const char *text, enum tr_variable_id id, const void *values,
                          const struct tr_layout *layout);

// Whether the text has a digest of the variable.
bool tr_row_digest_has(const char *text, enum tr_variable_id id);

// Which variable's digest differs between two texts, NULL for none, of those that both have; its
// name is not ended by a 0. And how many variables a text has.
const char *tr_row_digest_difference(const char *a, const char *b, size_t *length_p);
int tr_row_digest_count(const char *text);

#endif
