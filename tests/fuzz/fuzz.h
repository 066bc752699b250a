// SPDX-License-Identifier: Apache-2.0
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

// What a fuzz target defines: called with arbitrary bytes, returns 0; a crash is the finding.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
