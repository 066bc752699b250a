// SPDX-License-Identifier: Apache-2.0
#ifndef TR_DOCUMENTS_H
#define TR_DOCUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

// Takes one document; clears *more_p to stop there.
typedef enum tr_status tr_document_fn(void *user, const char *text, size_t size, bool *more_p,
                                      struct tr_err *err);

// The documents of a plain text, which lines that hold only <|endoftext|> separate; the line break
// before such a line belongs to it. Empty ones are left out. The text must be UTF-8.
enum tr_status tr_documents_plain(const char *text, size_t size, const char *path,
                                  tr_document_fn *take, void *user, struct tr_err *err);

// The "text" of each line of a .jsonl.
enum tr_status tr_documents_jsonl(const char *bytes, size_t size, const char *path,
                                  tr_document_fn *take, void *user, struct tr_err *err);

#endif
