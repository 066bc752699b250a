// SPDX-License-Identifier: Apache-2.0
#ifndef AN_CLONES_H
#define AN_CLONES_H

// Before a function whose loops are worth compiling once per level of the instruction set.
#ifdef AN_HAS_TARGET_CLONES
#define AN_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define AN_CLONES
#endif

#endif
