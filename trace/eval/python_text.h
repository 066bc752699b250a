// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PYTHON_TEXT_H
#define TR_PYTHON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// How Python's str sees text, which lm-evaluation-harness goes by. Texts are valid UTF-8. Its white
// space is str.isspace(): Unicode's White_Space and the separators U+001C to U+001F.

// Bytes of the white space at the end of text[0, size): what rstrip() removes.
size_t tr_python_trailing_space(const char *text, size_t size);

// Code points: len(text).
int64_t tr_python_length(const char *text);

// len(re.split(r"\s+", text)): runs of white space, and one more.
int64_t tr_python_words(const char *text);

// Whether two texts are equal, whatever their case (code point by code point), and without the
// characters of string.punctuation, which are ASCII's.
bool tr_python_same_text(const char *a, const char *b, bool ignore_case, bool ignore_punctuation);

#endif
