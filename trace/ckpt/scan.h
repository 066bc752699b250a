// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SCAN_H
#define TR_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// A strict JSON reader that builds no tree, for the headers and indexes of weight files: 100 MB of
// hostile JSON as a tree would take gigabytes. It walks the bytes once; the caller says what it
// expects next. Numbers are non-negative integers, as these files have no others. Internal.
struct tr_scan {
    const char *start, *at, *end;
    const char *what; // opens each sentence
    bool python;      // what is passed may hold NaN and Infinity, as Python's json writes them
};

// Starts at bytes[0, size), which must be UTF-8. `what` is borrowed.
enum tr_status tr_scan_start(struct tr_scan *scan, const char *bytes, size_t size, const char *what,
                             struct tr_err *err);

// Passes white space and, when it is next, the character `c`.
bool tr_scan_try(struct tr_scan *scan, char c);

// Passes white space and, when it is next, the literal null.
bool tr_scan_try_null(struct tr_scan *scan);

// The same as tr_scan_try where `c` must be next.
enum tr_status tr_scan_expect(struct tr_scan *scan, char c, struct tr_err *err);

// Nothing but white space may follow.
enum tr_status tr_scan_finish(struct tr_scan *scan, struct tr_err *err);

// A string without 0 bytes, decoded and 0-terminated into `out`, which has room for as many bytes
// as the string takes in the file, quotes included. Its length in *length_p (may be NULL).
enum tr_status tr_scan_string(struct tr_scan *scan, char *out, size_t *length_p,
                              struct tr_err *err);

enum tr_status tr_scan_u64(struct tr_scan *scan, uint64_t *value_p, struct tr_err *err);

// Passes one value of any type, nested up to 64 deep. `scratch` has room for its longest string.
enum tr_status tr_scan_skip(struct tr_scan *scan, char *scratch, struct tr_err *err);

#endif
