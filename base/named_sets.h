// SPDX-License-Identifier: Apache-2.0
#ifndef TR_NAMED_SETS_H
#define TR_NAMED_SETS_H

#include <stdint.h>

#include "base/drop_set.h"

// Several drop sets with names, as lines of text:
//
//     # comment
//     seven lowest: attn:7,6,4,8,5,3,2
//     a plan: @plan.json
//
// A name ends at the first colon; what follows is what the option of a drop set takes. Names
// differ.
struct tr_named_set {
    char *name; // owned
    struct tr_drop_set drop;
};

struct tr_named_sets {
    struct tr_named_set *sets; // [count], in order of lines
    int64_t count;
    uint64_t capacity;
};

// TR_EUSAGE names the file, the line and what is wrong with it; so is a file without any set.
enum tr_status tr_named_sets_read(struct tr_named_sets *sets, const char *path, struct tr_err *err);
// The same of text in memory; `path` is for messages.
enum tr_status tr_named_sets_parse(struct tr_named_sets *sets, const char *text, const char *path,
                                   struct tr_err *err);
void tr_named_sets_free(struct tr_named_sets *sets); // leaves zeros

// Appends lines that read back as the same sets, without files: "name: canonical text".
enum tr_status tr_named_sets_text(const struct tr_named_sets *sets, struct tr_string *text,
                                  struct tr_err *err);

#endif
