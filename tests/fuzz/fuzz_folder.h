// SPDX-License-Identifier: Apache-2.0
#ifndef FUZZ_FOLDER_H
#define FUZZ_FOLDER_H

#include <stdlib.h>
#include <string.h>

// Makes a folder for a target's files, in memory where that is possible. The caller removes it.
static inline void fuzz_folder_make(char folder[64]) {
    strcpy(folder, "/dev/shm/fuzz-XXXXXX");
    if (mkdtemp(folder))
        return;
    strcpy(folder, "/tmp/fuzz-XXXXXX");
    if (!mkdtemp(folder))
        abort();
}

#endif
