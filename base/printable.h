// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PRINTABLE_H
#define TR_PRINTABLE_H

#include <stddef.h>

// Makes text[0, size), in which names out of files may stand, harmless to a terminal and to logs:
// each control character (C0, DEL, and C1 as UTF-8 writes it) and each byte that is not UTF-8
// becomes '?', but for the controls in `kept` ("\n" for lines). Text becomes shorter, never longer:
// returns its size, with a 0 behind it when it did.
size_t tr_printable(char *text, size_t size, const char *kept);

#endif
