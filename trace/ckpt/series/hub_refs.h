// SPDX-License-Identifier: Apache-2.0
#ifndef TR_HUB_REFS_H
#define TR_HUB_REFS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// The branches of a repository in the Hugging Face Hub's cache: a checkpoint lies in
// models--ORG--NAME/snapshots/COMMIT, and refs/BRANCH holds the commit; a branch a/b
// is called a-b. Internal.

struct tr_hub_ref;

struct tr_hub_refs {
    char *folder; // that was read last; NULL: none
    struct tr_hub_ref *list;
    int64_t count;
    uint64_t capacity;
};

// The branch of the snapshot at `path`, into *branch_p (borrowed until the next call); NULL where
// it is no snapshot or of no branch. Of several a branch that is not main.
enum tr_status tr_hub_branch(struct tr_hub_refs *refs, const char *path, const char **branch_p,
                             struct tr_err *err);
void tr_hub_refs_free(struct tr_hub_refs *refs);

// NAME of the repository whose snapshot the path is, of *length_p bytes; NULL where it is none.
const char *tr_hub_repository(const char *path, size_t *length_p);

#endif
