// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TEXT_SOURCE_H
#define TR_TEXT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// A text, wherever it comes from: a file, a pipe, or stdin, packed by gzip or zstd or not at all.
struct tr_text_source {
    char *bytes; // with a 0 behind them
    size_t size;
    char *label;   // the file's name without what says that it is packed; "stdin"
    bool is_jsonl; // by its name; of stdin and of pipes, when their first character is {
};

// `path` "-" is stdin, which is read once. What is packed is known by its first bytes, whatever its
// name; several gzip members or zstd frames are one text. Read and unpacked are at most `limit`
// bytes: TR_EUSAGE for more, for xz and bzip2 (with advice), and for a stdin that is a terminal;
// TR_EFORMAT for what is cut off or damaged. Freed with tr_text_source_free.
enum tr_status tr_text_source_read(struct tr_text_source *source, const char *path, uint64_t limit,
                                   struct tr_err *err);
void tr_text_source_free(struct tr_text_source *source);

#endif
