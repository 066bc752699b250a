// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ROWS_H
#define TR_ROWS_H

#include <stdint.h>

// Rows of token ids, all of one length, that a forward pass runs over. Borrowed.
struct tr_rows {
    const int32_t *ids; // [sequences, seq_len]
    int64_t sequences, seq_len;
    // [sequences, seq_len]: the token whose loss is wanted at each position, -1: none. NULL: the
    // next one of the row.
    const int32_t *targets;
};

#endif
