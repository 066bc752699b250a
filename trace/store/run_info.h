// SPDX-License-Identifier: Apache-2.0
#ifndef TR_RUN_INFO_H
#define TR_RUN_INFO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "store/variables.h"

// What is true of a whole file: the layout, the calibration rows, and the root attributes.

// How an attribute behaves when a run meets a file that is already there.
enum tr_attribute_role {
    TR_IDENTITY, // must be equal, else the run is refused with a sentence naming it
    TR_ADDED,    // must be equal where both have it; either may lack it
    TR_RECORDED, // a difference is a warning; the newer value is written
    TR_GAINED,   // as volatile; a file without it is written anew even when no row is new
    TR_VOLATILE  // created, host, history ...: no part of "the same file"
};

struct tr_attribute {
    char *name;
    enum tr_attribute_role role;
    bool is_number;
    int64_t number; // when is_number
    char *text;     // else
};

struct tr_run_info {
    struct tr_layout layout;
    struct tr_attribute *attributes; // [count], in the order added
    int64_t count;
    uint64_t capacity;
    char **text;       // [layout.sequences] label of the calibration text of each sequence
    char **ids_digest; // [layout.sequences]
    char **set_name, **set_drop; // [layout.drop_sets] names, and what is left out as text
    char **candidate;            // [layout.candidates] of a search, as text: "attn:6"
};

// The attributes that a trace of ours may have, as rows: docs/file-format.md is printed from them.
// A file may have others, which are kept.
struct tr_attribute_row {
    const char *name;
    enum tr_attribute_role role;
    bool by_store; // written by the store itself; no run may set it
    bool is_number;
    const char *meaning;
};
extern const struct tr_attribute_row tr_attribute_rows[]; // [tr_attribute_row_count]
extern const int tr_attribute_row_count;
// NULL when there is none.
const struct tr_attribute_row *tr_attribute_row(const char *name);

// A second value for a name replaces the first. Names that the store writes itself are TR_EUSAGE.
// Text that is not UTF-8 is escaped as in a row.
enum tr_status tr_run_info_text(struct tr_run_info *info, enum tr_attribute_role role,
                                const char *name, const char *text, struct tr_err *err);
enum tr_status tr_run_info_number(struct tr_run_info *info, enum tr_attribute_role role,
                                  const char *name, int64_t number, struct tr_err *err);
// NULL when there is none.
const struct tr_attribute *tr_run_info_find(const struct tr_run_info *info, const char *name);

// Whether the file whose description is `there` lacks an attribute of the run that it gains.
bool tr_run_info_gains(const struct tr_run_info *info, const struct tr_run_info *there);

// Allocates `text` and `ids_digest` for layout.sequences, every one "".
enum tr_status tr_run_info_sequences(struct tr_run_info *info, struct tr_err *err);
enum tr_status tr_run_info_sequence(struct tr_run_info *info, int64_t sequence, const char *text,
                                    const char *ids_digest, struct tr_err *err);

// Allocates `set_name` and `set_drop` for layout.drop_sets, every one "".
enum tr_status tr_run_info_sets(struct tr_run_info *info, struct tr_err *err);
enum tr_status tr_run_info_set(struct tr_run_info *info, int64_t set, const char *name,
                               const char *drop, struct tr_err *err);

// Allocates `candidate` for layout.candidates, every one "".
enum tr_status tr_run_info_candidates(struct tr_run_info *info, struct tr_err *err);
enum tr_status tr_run_info_candidate(struct tr_run_info *info, int64_t candidate, const char *drop,
                                     struct tr_err *err);

// What differs in any way, by name; NULL where nothing does.
const char *tr_run_info_difference(const struct tr_run_info *a, const struct tr_run_info *b);

enum tr_status tr_run_info_copy(struct tr_run_info *copy, const struct tr_run_info *info,
                                struct tr_err *err);
void tr_run_info_free(struct tr_run_info *info);

#endif
