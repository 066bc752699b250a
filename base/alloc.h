// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ALLOC_H
#define TR_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// Checked arithmetic for sizes that come from files: false when the result does not fit.
bool tr_mul(uint64_t a, uint64_t b, uint64_t *product);
bool tr_add(uint64_t a, uint64_t b, uint64_t *sum);

// Zeroed memory for `count` elements of `size` bytes, aligned to 64 bytes, freed with free().
// `what` names it in the sentence of TR_ENOMEM. A count of 0 gives a valid pointer.
enum tr_status tr_alloc(void **memory_p, uint64_t count, size_t size, const char *what,
                        struct tr_err *err);

// As tr_alloc with the cast that C lacks: TR_NEW(&array, count, "layer means", err).
#define TR_NEW(pointer_p, count, what, err)                                                        \
    tr_alloc((void **)(pointer_p), (uint64_t)(count), sizeof **(pointer_p), (what), (err))

// The same without the zeros, for what is written whole before anything of it is read: to zero
// gigabytes takes one thread long.
enum tr_status tr_alloc_unset(void **memory_p, uint64_t count, size_t size, const char *what,
                              struct tr_err *err);
#define TR_NEW_UNSET(pointer_p, count, what, err)                                                  \
    tr_alloc_unset((void **)(pointer_p), (uint64_t)(count), sizeof **(pointer_p), (what), (err))

// Makes room for at least `wanted` elements in a growing array: doubles *capacity_p as needed.
enum tr_status tr_grow(void **memory_p, uint64_t *capacity_p, uint64_t wanted, size_t size,
                       const char *what, struct tr_err *err);

// A copy of `text`, freed with free().
enum tr_status tr_strdup(char **copy_p, const char *text, struct tr_err *err);

#endif
