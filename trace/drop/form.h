// SPDX-License-Identifier: Apache-2.0
#ifndef TR_DROP_FORM_H
#define TR_DROP_FORM_H

#include "drop_job.h"

// A way of saying in a checkpoint's files that sublayers are left out. Private to this folder; a
// new form is a row in forms.c's table and a file with its functions.

enum tr_fate { TR_TENSOR_STAYS, TR_TENSOR_ZEROED, TR_TENSOR_GONE };

struct tr_drop_form {
    const char *name;
    const char *dialect; // NULL: it has one alone
    bool renumbers;      // layers that stay are counted anew
    const char *saves;   // what it saves, in a sentence
    const char *loads;   // who loads it, in sentences
    // Why this job cannot be written so.
    enum tr_status (*check)(const struct tr_drop_job *job, struct tr_err *err);
    // What becomes of a tensor of a layer; TR_WEIGHTS: of no role.
    enum tr_fate (*fate)(const struct tr_drop_job *job, int64_t layer, enum tr_weight role);
    // Makes config.json's object what it shall be.
    enum tr_status (*configure)(const struct tr_drop_job *job, json_t *root, struct tr_err *err);
    // Makes a written config.json's object what the readers of this form make of it, in the words
    // that are read here.
    enum tr_status (*as_read)(const struct tr_drop_job *job, json_t *root, struct tr_err *err);
    // Of a form that is a recipe instead of a checkpoint: its text. Then the three above are NULL.
    enum tr_status (*recipe)(const struct tr_drop_job *job, struct tr_string *text,
                             struct tr_err *err);
};

extern const struct tr_drop_form tr_form_whole; // of a job without a set
extern const struct tr_drop_form tr_form_smaller, tr_form_zeroed, tr_form_llm_drop,
    tr_form_anymodel, tr_form_nemotron_nas, tr_form_mergekit;

// Gone: what belongs to a sublayer that is left out, its norms included.
enum tr_fate tr_fate_by_sublayer(const struct tr_drop_job *job, int64_t layer, enum tr_weight role);

// Refuses a first block, number `first` of the source, that vLLM's nemotron_nas.py fails on.
enum tr_status tr_check_deci_first(const struct tr_drop_job *job, int64_t first,
                                   struct tr_err *err);

// What a reader that knows no drops reads: no key that says them. Also what every form begins with.
enum tr_status tr_forget_drops(const struct tr_drop_job *job, json_t *root, struct tr_err *err);

// Says that the files hold a head of their own, for readers who believe config.json where that ties
// it to the embedding.
enum tr_status tr_spell_head(const struct tr_drop_job *job, json_t *root, struct tr_err *err);

#endif
