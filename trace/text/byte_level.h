// SPDX-License-Identifier: Apache-2.0
#ifndef TR_BYTE_LEVEL_H
#define TR_BYTE_LEVEL_H

#include <stddef.h>

// The UTF-8 character that stands for a byte in a byte-level vocabulary: printable Latin-1 as
// itself, the others from U+0100 on. Returns its size, 1 or 2.
size_t tr_byte_spell(unsigned char byte, char out[2]);

#endif
