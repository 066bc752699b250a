// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TEXT_ROWS_H
#define TR_TEXT_ROWS_H

#include "ckpts_options.h"

// The rows of programs that run models over a text, one behind the other. Where they are named,
// SETS(run.x) is where the program's settings have member x of a struct tr_run_settings, and
// LARGEST the largest number that an option takes.

// Laid out by hand, as tables are.
// clang-format off
#define TEXT_ROW                                                                                   \
    {"text", 0, "FILE",                                                                            \
     "Plain text or .jsonl with \"text\", as it is or packed as .gz or .zst; - is stdin; several "  \
     "give each its share of the rows",                                                            \
     OPTION_WORD, .read = tr_read_text}

// `whose`: "the checkpoint's".
#define TOKENIZER_ROWS(whose)                                                                      \
    {"tokenizer", 0, "PATH", "The tokenizer, or a folder with one (default: " whose " own)",       \
     OPTION_TEXT, SETS(run.tokenizer)},                                                            \
    {"bos", 0, NULL, "Begin each document with the token that the tokenizer puts before a text",   \
     OPTION_FLAG, SETS(run.bos)}

#define TOKENS_ROWS                                                                                \
    {"tokens", 0, "FILE", "Token ids: .npy, .jsonl with \"input_ids\", raw .u16, .bin or .u32",    \
     OPTION_TEXT, SETS(run.tokens)},                                                               \
    {"samples", 0, "N", "Rows of tokens (default: as many as there are, at most 256)",             \
     OPTION_WHOLE, SETS(run.samples), 1, LARGEST},                                                 \
    {"seq-len", 0, "N", "Tokens per row (default: the model's maximum, at most 2048)",             \
     OPTION_WHOLE, SETS(run.seq_len), 1, LARGEST}
// clang-format on

#endif
