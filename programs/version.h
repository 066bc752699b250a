// SPDX-License-Identifier: Apache-2.0
#ifndef TR_VERSION_H
#define TR_VERSION_H

#include <stdio.h>

// What --version prints: the program with its version on the first line, below it what it was built
// of and with. "none": built without.
void program_version(const char *name, FILE *out);

// "0.2.0".
const char *program_version_text(void);

#endif
