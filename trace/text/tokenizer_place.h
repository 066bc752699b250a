// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TOKENIZER_PLACE_H
#define TR_TOKENIZER_PLACE_H

#include <stdint.h>

#include "base/status.h"

// Where a series has its tokenizer. Trainers save it with every checkpoint, once in the folder of
// the run, or with the last checkpoint only.

// The path of the tokenizer of folders[0, count): folders[first]'s own, or else that of the folder
// above it, or else the first that one of the others has. A new string, freed with free().
// TR_EUSAGE when there is none.
enum tr_status tr_tokenizer_place(char **path_p, const char *const *folders, int64_t count,
                                  int64_t first, struct tr_err *err);

// The path of the tokenizer that `given` names: a file, or a folder that has one.
enum tr_status tr_tokenizer_given(char **path_p, const char *given, struct tr_err *err);

#endif
