// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CALIBRATION_H
#define TR_CALIBRATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "text/tokenizer.h"

// The calibration rows every checkpoint is run over: [sequences, seq_len] token ids, fixed for the
// whole series.

struct tr_calibration {
    int32_t *ids; // [sequences, seq_len]
    int64_t sequences, seq_len;
    char *label;                    // which text: a file name, or "built-in"
    char ids_digest[TR_DIGEST_MAX]; // of the ids as little-endian int32, row by row
    int64_t spare_tokens;           // read but not used; reading stops once the rows are full
    int64_t texts; // the rows are of so many texts, one after the other; 0: of `label`
    char **text;   // [texts] their labels
    int64_t *rows; // [texts] how many rows each has
};

// Which text a row is of.
const char *tr_calibration_text(const struct tr_calibration *calibration, int64_t row);

// What was asked and what the model allows. 0 = not given: seq_len then becomes min(2048,
// max_positions), samples as many rows as there are, at most 256. When neither was given and the
// text is shorter than one row, it becomes one row of its own length. What was given and cannot be
// met is TR_EUSAGE; so are ids outside [0, vocabulary) and a text without tokens.
struct tr_calibration_options {
    int64_t samples, seq_len; // 0 = not given
    int64_t max_positions;    // of the model; 0 = unknown
    int64_t vocabulary;       // rows of the embedding; 0 = unknown
    bool bos;                 // each document begins with what the tokenizer puts before a text
    int64_t most;             // rows when samples is not given; 0: 256
};

// Token files by extension and magic: .npy (int32, int64, uint16 or uint32, [n, seq] or one stream,
// C order, little-endian), .jsonl with "input_ids" (rows of equal length when it has several lines,
// else one stream of documents as they are), .u16/.bin and .u32 (raw little-endian). A 2-D file
// fixes seq_len and samples: a different explicit seq_len is TR_EUSAGE, explicit samples below its
// rows take the first ones.
enum tr_status tr_calibration_from_tokens(struct tr_calibration *calibration, const char *path,
                                          const struct tr_calibration_options *options,
                                          struct tr_err *err);

// Text files: .jsonl with "text", else plain text, whose documents are separated by lines that hold
// only <|endoftext|> (the line break before such a line is part of it). Each document that is not
// empty is tokenised without special tokens (with `bos`, after those that begin a text) and
// followed by `separator` (the model's end-of-sequence id), all are concatenated and cut into rows;
// the last incomplete row is dropped. Files and pipes, packed by gzip or zstd or not; "-" is stdin.
enum tr_status tr_calibration_from_text(struct tr_calibration *calibration, const char *path,
                                        const struct tr_tokenizer *tokenizer, int32_t separator,
                                        const struct tr_calibration_options *options,
                                        struct tr_err *err);

// The same from several texts, as many rows of each: of `samples` each has its share, the first
// ones one more where it does not come out even; of 256 at most likewise. All have rows of one
// length, and names of their own: TR_EUSAGE where two have one.
enum tr_status tr_calibration_from_texts(struct tr_calibration *calibration,
                                         const char *const *paths, int64_t texts,
                                         const struct tr_tokenizer *tokenizer, int32_t separator,
                                         const struct tr_calibration_options *options,
                                         struct tr_err *err);

// The same from the text built into the program.
enum tr_status tr_calibration_from_builtin(struct tr_calibration *calibration,
                                           const struct tr_tokenizer *tokenizer, int32_t separator,
                                           const struct tr_calibration_options *options,
                                           struct tr_err *err);

void tr_calibration_free(struct tr_calibration *calibration);

#endif
