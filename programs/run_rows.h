// SPDX-License-Identifier: Apache-2.0
#ifndef TR_RUN_ROWS_H
#define TR_RUN_ROWS_H

#include "ckpts_options.h"

// The rows of several programs that run models, one behind the other. Where they are named,
// RUN(x) is where the program's settings have member x of a struct tr_run_settings.

// Laid out by hand, as tables are.
// clang-format off
#define TEXT_ROW                                                                                   \
    {"text", 0, "FILE",                                                                            \
     "Plain text or .jsonl with \"text\", as it is or packed as .gz or .zst; - is stdin; "         \
     "several give each its share of the rows",                                                    \
     OPTION_WORD, .read = tr_read_text}

#define STEP_TOKENS_ROW                                                                            \
    {"tokens-per-step", 0, "N",                                                                    \
     "Tokens per training step, for checkpoints whose names lack tokens",                          \
     OPTION_WHOLE, RUN(tokens_per_step), 1, LARGEST}

#define SERIES_ROWS                                                                                \
    {"input", 'i', "CSV", "A manifest instead of folders: columns path, step, tokens, stage",      \
     OPTION_TEXT, RUN(manifest)},                                                                  \
    STEP_TOKENS_ROW

// `whose`: "the checkpoint's".
#define TOKENIZER_ROW(whose)                                                                       \
    {"tokenizer", 0, "PATH", "The tokenizer, or a folder with one (default: " whose " own)",       \
     OPTION_TEXT, RUN(tokenizer)}

#define BOS_ROW                                                                                    \
    {"bos", 0, NULL, "Begin each document with the token that the tokenizer puts before a text",   \
     OPTION_FLAG, RUN(bos)}

#define TOKENS_ROW                                                                                 \
    {"tokens", 0, "FILE", "Token ids: .npy, .jsonl with \"input_ids\", raw .u16, .bin or .u32",    \
     OPTION_TEXT, RUN(tokens)}

#define TOKENS_ROWS                                                                                \
    TOKENS_ROW,                                                                                    \
    {"samples", 0, "N", "Rows of tokens (default: as many as there are, at most 256)",             \
     OPTION_WHOLE, RUN(samples), 1, LARGEST},                                                      \
    {"seq-len", 0, "N", "Tokens per row (default: the model's maximum, at most 2048)",             \
     OPTION_WHOLE, RUN(seq_len), 1, LARGEST}

#define DEVICE_ROWS                                                                                \
    {"device", 0, "auto|cpu|cuda",                                                                 \
     "Where to compute (default: auto: cuda where there is a device, else cpu)", OPTION_WORD,      \
     .read = tr_read_device},                                                                      \
    {"dtype", 0, "auto|f32|bf16|f16",                                                              \
     "Operands of products (default: auto: f32 on the CPU; on a device f16 for f16 weights, else " \
     "bf16)",                                                                                      \
     OPTION_WORD, .read = tr_read_type}

#define PUBLISH_ROW                                                                                \
    {"publish", 0, "SEC", "Publish the store at most every SEC seconds (default: 60)",             \
     OPTION_WHOLE, RUN(publish_seconds), 0, LARGEST}

#define PROGRESS_ROW                                                                               \
    {"progress", 0, "SEC", "A line every SEC seconds, 0 for none (default: 30; on a terminal 1)",  \
     OPTION_WHOLE, RUN(progress_seconds), 0, LARGEST}
// clang-format on

#endif
