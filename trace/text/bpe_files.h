// SPDX-License-Identifier: Apache-2.0
#ifndef TR_BPE_FILES_H
#define TR_BPE_FILES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

// A byte-level tokenizer in the files of before tokenizer.json: vocab.json has the tokens,
// merges.txt the merges, and the class of the tokenizer how text is split. The class is named in
// tokenizer_config.json, or follows from the model's type. Which tokens are cut out of the text
// before stands in tokenizer_config.json, or else in special_tokens_map.json and
// added_tokens.json.
struct tr_bpe_files {
    const json_t *vocabulary;
    const char *merges;
    size_t merges_size;
    const json_t *config, *specials, *added; // of these three files, NULL: not there
    const char *model_type;                  // NULL: unknown
};

// Makes the tokenizer.json that says the same to the Hugging Face libraries; freed with
// json_decref. `what` names the files in sentences. TR_EUNSUPPORTED for a class that we do not
// know, and for what the libraries' versions read differently: merges that do not begin with their
// version or end within a line, bytes without a token.
enum tr_status tr_bpe_files_join(json_t **document_p, const struct tr_bpe_files *files,
                                 const char *what, struct tr_err *err);

// The same from the folder of `path`, in which the two files are.
enum tr_status tr_bpe_files_load(json_t **document_p, const char *path, const char *model_type,
                                 struct tr_err *err);

// Whether `path` is one of the two files, and the other stands beside it.
bool tr_is_bpe_files(const char *path);

#endif
