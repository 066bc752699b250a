// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SCORE_FILE_H
#define TR_SCORE_FILE_H

#include <jansson.h>

#include "eval/score.h"

// What a checkpoint's task has been scored with, kept so that a run that was stopped goes on, and
// for people: JSON of
//   identity     digest of all that the numbers depend on
//   drop_sets    text forms; the first is empty, the whole model
//   likelihoods  [sets, requests] log p in nats
//   greedy       [sets, requests] whether no token has a likelier one
// A part of a task has prompts in place of requests, and null for those that are not known.
// Written under another name and renamed.

enum tr_status tr_scores_save(const char *path, const char *identity,
                              const struct tr_named_sets *sets, int64_t requests,
                              const struct tr_likelihood *likelihoods, struct tr_err *err);

// *found_p: the file is there and has the identity and as many numbers; otherwise what is given
// back is of no use, and the task is scored anew.
enum tr_status tr_scores_load(const char *path, const char *identity,
                              const struct tr_named_sets *sets, int64_t requests,
                              struct tr_likelihood *likelihoods, bool *found_p, struct tr_err *err);

// The same of a part: what it knows goes into `likelihoods`, what it does not stays.
enum tr_status tr_part_load(const char *path, const char *identity,
                            const struct tr_named_sets *sets, int64_t prompts,
                            struct tr_likelihood *likelihoods, bool *found_p, struct tr_err *err);

// `name` as the name of a file, freed with free(): what is no letter, digit, '.', '-' or '_'
// becomes '_', and a digest tells apart what would be the same.
enum tr_status tr_file_name_of(char **file_name_p, const char *name, struct tr_err *err);

#endif
