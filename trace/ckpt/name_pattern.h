// SPDX-License-Identifier: Apache-2.0
#ifndef TR_NAME_PATTERN_H
#define TR_NAME_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Patterns of tensors' names, read both ways: "model.layers.{layer}.mlp.experts.{expert}.up.weight"
// is text with at most one of each of the numbers {layer}, {expert} and {head}. Numbers stand in
// names in decimal, without signs and leading zeros, so that a name has at most one reading.

enum tr_name_number { TR_NAME_LAYER, TR_NAME_EXPERT, TR_NAME_HEAD, TR_NAME_NUMBERS };

// What stood for the numbers; those that a pattern does not hold are -1 after matching.
struct tr_name_numbers {
    int64_t at[TR_NAME_NUMBERS];
};

// Whether the pattern holds that number.
bool tr_pattern_has(const char *pattern, enum tr_name_number number);

// The name that a pattern has with these numbers, each at least 0 where the pattern holds it, in
// name[0, size), 0-terminated. False when it does not fit, with *name 0 for a size above 0.
bool tr_pattern_expand(const char *pattern, const struct tr_name_numbers *numbers, char *name,
                       size_t size);

// Whether the whole name is the pattern with numbers below 10^9, then set in *numbers.
bool tr_pattern_match(const char *pattern, const char *name, struct tr_name_numbers *numbers);

// The first of patterns[0, count) that the name matches, -1 when there is none; NULL is a pattern
// that nothing matches.
int tr_pattern_find(const char *const *patterns, int count, const char *name,
                    struct tr_name_numbers *numbers);

#endif
