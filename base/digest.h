// SPDX-License-Identifier: Apache-2.0
#ifndef TR_DIGEST_H
#define TR_DIGEST_H

#include <stddef.h>

#include "base/status.h"

// XXH3-128 of a stream of bytes, printed as 32 lower-case hex digits. Fast and good against
// accidents (swapped, truncated, duplicated checkpoints); not against an adversary.
enum { TR_DIGEST_MAX = 33 };

struct tr_digest; // one stream being digested

enum tr_status tr_digest_new(struct tr_digest **digest_p, struct tr_err *err);
void tr_digest_update(struct tr_digest *digest, const void *bytes, size_t size);
void tr_digest_text(const struct tr_digest *digest, char out[TR_DIGEST_MAX]);
void tr_digest_free(struct tr_digest *digest); // accepts NULL

// The digest of one buffer at once.
void tr_digest_bytes(const void *bytes, size_t size, char out[TR_DIGEST_MAX]);

#endif
