// SPDX-License-Identifier: Apache-2.0
#ifndef TR_MERGE_H
#define TR_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strings.h"

// Stores of one series that were traced apart, as by the shards of a job array or on several
// clusters, into one: the same file as one run over all of their checkpoints gives (store.h), but
// for what is true of the moment. Chunks are copied compressed as they are.

struct tr_merging {
    char **inputs; // [count] stores, and folders of parts (OUT.parts); `out` may be among them
    int64_t count;
    const char *out;
    bool force; // replaces a store at `out` that is not among the inputs
};

// A checkpoint that several files have counts once: a traced one before a failed one, one with
// costs before the same without. Attributes that are recorded only are those of the file that has
// the first row. What else differs, and parts that lie unpublished beside an input, are told in
// `notes`, a sentence a line. *rows_p: how many checkpoints `out` has then.
//
// TR_ECONFLICT, naming what differs and in which files: options, dtype, tokens, micro-batch, texts
// or sizes that are not the same, a checkpoint with other values or weights in another file, a job
// that is writing `out`, a file in its way. TR_EFORMAT: a file that is no store, or damaged.
enum tr_status tr_store_merge(const struct tr_merging *merging, int64_t *rows_p,
                              struct tr_string *notes, struct tr_err *err);

#endif
