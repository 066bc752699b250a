// SPDX-License-Identifier: Apache-2.0
#ifndef TR_VERSION_H
#define TR_VERSION_H

#include <stdio.h>

// What --version prints: the program with its version on the first line, below it what it was built
// of and with. "none": built without.
void program_version(const char *name, FILE *out);

// The same but the version, in a line: "commit 0123456789ab, GNU 12.2.0, MPI Open MPI v4.1.4, ...".
const char *program_build_text(void);

// "0.2.0".
const char *program_version_text(void);

#endif
