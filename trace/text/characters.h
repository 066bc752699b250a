// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CHARACTERS_H
#define TR_CHARACTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Characters at the edges of valid UTF-8 text.

// The code point at the start of text[0, size) and its size in bytes; 0 when it is not UTF-8.
size_t tr_utf8_first(const char *text, size_t size, int32_t *code_p);

// The size in bytes of the character at the start of text[0, size), 1 where it is not UTF-8; 0 of
// an empty text.
size_t tr_character_size(const char *text, size_t size);

// Bytes of the white space (Unicode White_Space) that text[0, size) starts or ends with.
size_t tr_spaces_at_start(const char *text, size_t size);
size_t tr_spaces_at_end(const char *text, size_t size);

// Whether the first or last character of text[0, size) is part of a word: Alphabetic, a mark, a
// decimal digit, connecting punctuation or a joiner. False when there is none.
bool tr_starts_with_word(const char *text, size_t size);
bool tr_ends_with_word(const char *text, size_t size);

// The byte offset of the first thing that is not UTF-8, or `size`.
size_t tr_utf8_prefix(const char *text, size_t size);

#endif
