// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TEXT_H
#define TR_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// Strict numbers: the whole string must be one number within [low, high]; no spaces, no tail.
bool tr_parse_i64(const char *text, int64_t low, int64_t high, int64_t *value_p);
bool tr_parse_f64(const char *text, double low, double high, double *value_p);

// A size such as 512, 64K, 1.5G, 2GiB: K, M, G, T are powers of 1024. False when it is not one.
bool tr_parse_bytes(const char *text, uint64_t *bytes_p);

// "1.21 GB" (decimal, as disks count), "12.3 k", "1 h 02 min": for people, into `out`, returned.
enum { TR_HUMAN_MAX = 32 };
char *tr_human_bytes(double bytes, char out[TR_HUMAN_MAX]);
char *tr_human_count(double count, char out[TR_HUMAN_MAX]);
char *tr_human_unit(double value, const char *unit, char out[TR_HUMAN_MAX]); // "539 GFLOP"
char *tr_human_seconds(double seconds, char out[TR_HUMAN_MAX]);

// Natural order: runs of digits compare as numbers, so that step2000 comes before step10000.
int tr_natural_compare(const char *a, const char *b);

// The last component of a path, without trailing slashes, into a new string freed with free().
enum tr_status tr_path_name(char **name_p, const char *path, struct tr_err *err);

// "folder/name" in a new string freed with free().
enum tr_status tr_path_join(char **path_p, const char *folder, const char *name,
                            struct tr_err *err);

// Whether bytes[0, size) is well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF).
bool tr_utf8_valid(const void *bytes, size_t size);

// A string that grows: zeroed at start, `data` is always 0-terminated after the first append.
struct tr_string {
    char *data;
    size_t size; // without the final 0
    uint64_t capacity;
};
enum tr_status tr_string_append(struct tr_string *string, const void *bytes, size_t size,
                                struct tr_err *err);
enum tr_status tr_string_format(struct tr_string *string, struct tr_err *err, const char *format,
                                ...) __attribute__((format(printf, 3, 4)));
void tr_string_free(struct tr_string *string);

#endif
