// SPDX-License-Identifier: Apache-2.0
#ifndef TR_LEAVE_H
#define TR_LEAVE_H

#include <stdio.h>

#include "base/status.h"

// What every program says last, and how it ends.

// Prints text in which names out of files may stand: control characters but line ends become '?'.
void tr_tell(FILE *stream, const char *text);

// "PROGRAM: SENTENCE" to stderr; nothing where there is no sentence.
void tr_complain(const char *program, const struct tr_err *err);

// From now on this program ends with EXIT_ENVIRONMENT and a sentence when not all that it printed
// has left stdout, however it comes to its end, --help included.
void tr_leave_checked(const char *program);

#endif
