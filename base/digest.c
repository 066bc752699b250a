// SPDX-License-Identifier: Apache-2.0
#include "base/digest.h"

#include <stdio.h>
#include <xxhash.h>

static void print_hash(XXH128_hash_t hash, char out[TR_DIGEST_MAX]) {
    snprintf(out, TR_DIGEST_MAX, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

// The handle is xxHash's own state under our name: nothing else is kept.
static XXH3_state_t *state_of(const struct tr_digest *digest) {
    return (XXH3_state_t *)(void *)digest;
}

enum tr_status tr_digest_new(struct tr_digest **digest_p, struct tr_err *err) {
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return tr_fail(err, TR_ENOMEM, "no memory for a digest");
    XXH3_128bits_reset(state);
    *digest_p = (struct tr_digest *)(void *)state;
    return TR_OK;
}

void tr_digest_update(struct tr_digest *digest, const void *bytes, size_t size) {
    XXH3_128bits_update(state_of(digest), bytes, size);
}

void tr_digest_text(const struct tr_digest *digest, char out[TR_DIGEST_MAX]) {
    print_hash(XXH3_128bits_digest(state_of(digest)), out);
}

void tr_digest_free(struct tr_digest *digest) {
    XXH3_freeState(state_of(digest));
}

void tr_digest_bytes(const void *bytes, size_t size, char out[TR_DIGEST_MAX]) {
    print_hash(XXH3_128bits(bytes, size), out);
}
