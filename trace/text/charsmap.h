// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CHARSMAP_H
#define TR_CHARSMAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strings.h"

// SentencePiece's precompiled map from texts to texts: a double-array trie (Darts), whose values
// are offsets into a row of 0-terminated strings.

struct tr_charsmap {
    uint32_t *units; // [unit_count], NULL: an empty map
    uint64_t unit_count;
    struct tr_string strings;
};

// Reads the blob; what is not one is TR_EFORMAT. An empty blob is an empty map.
enum tr_status tr_charsmap_parse(struct tr_charsmap *map, const char *blob, size_t size,
                                 const char *what, struct tr_err *err);

// The same from base64, as a tokenizer.json has it.
enum tr_status tr_charsmap_parse_base64(struct tr_charsmap *map, const char *text, size_t size,
                                        const char *what, struct tr_err *err);
void tr_charsmap_free(struct tr_charsmap *map);

enum tr_which { TR_SHORTEST, TR_LONGEST };

struct tr_mapped {
    size_t used;      // bytes of the text that were mapped, 0: none
    const char *text; // what they become, borrowed
    size_t size;
};

// What text[0, size) begins with that the map has. A trie that leads out of itself is TR_EFORMAT.
enum tr_status tr_charsmap_find(const struct tr_charsmap *map, const char *text, size_t size,
                                enum tr_which which, struct tr_mapped *mapped, struct tr_err *err);

#endif
