// SPDX-License-Identifier: Apache-2.0
#ifndef TR_END_TOKENS_H
#define TR_END_TOKENS_H

#include "model/config.h"

// The tokens that end a generated text: "eos_token_id" of FOLDER/generation_config.json, an id or a
// list, of which all count; where it says none, the configuration's. Ids that the vocabulary lacks
// are passed over. Private to this folder.
enum { TR_END_TOKENS = 16 };
struct tr_end_tokens {
    int32_t ids[TR_END_TOKENS];
    int64_t count;
};

enum tr_status tr_end_tokens_read(struct tr_end_tokens *ends, const char *folder,
                                  const struct tr_config *config, struct tr_err *err);

#endif
