// SPDX-License-Identifier: Apache-2.0
// Modules that wrap another for training, and what they put into the names of its tensors.
#include <string.h>

#include "reader.h"

static const char *const words[] = {
    "module",                     // DistributedDataParallel, DataParallel, DeepSpeed
    "_module",                    // Opacus, older activation checkpointing
    "_orig_mod",                  // torch.compile
    "_forward_module",            // Lightning
    "_original_module",           // Lightning, of what it had wrapped before
    "_fsdp_wrapped_module",       // FullyShardedDataParallel
    "_fpw_module",                // its flattened parameters until torch 1.12
    "_checkpoint_wrapped_module", // activation checkpointing, offloading
    "_dmp_wrapped_module",        // torchrec
};
enum { WORDS = sizeof words / sizeof *words };

static bool is_wrapper(const char *part, size_t size) {
    for (int i = 0; i < WORDS; i++)
        if (strlen(words[i]) == size && !memcmp(words[i], part, size))
            return true;
    return false;
}

// What a wrapper's word stands before is something: the last part of a name always stays.
void tr_unwrap_name(char *name) {
    char *to = name;
    for (const char *part = name, *dot; *part; part = dot + 1) {
        dot = strchr(part, '.');
        if (!dot || !dot[1]) {
            memmove(to, part, strlen(part) + 1);
            return;
        }
        if (is_wrapper(part, (size_t)(dot - part)))
            continue;
        memmove(to, part, (size_t)(dot - part) + 1);
        to += dot - part + 1;
    }
}
