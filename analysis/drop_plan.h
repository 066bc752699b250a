// SPDX-License-Identifier: Apache-2.0
#ifndef AN_DROP_PLAN_H
#define AN_DROP_PLAN_H

#include "analysis/result.h"
#include "base/json.h"
#include "base/status.h"

// The chosen set of the one group that was wanted, for who drops it (plan_choice.h says by which
// rule). A JSON object with
//   "drop"            the set as text, least important first: "attn:1,0,7 mlp:3", "block:3"
//   "drop_attn_list", "drop_mlp_list"
//                     the layers without attention and without MLP, ascending: the keys that
//                     LLM-Drop's models read from config.json; a dropped block is in both
//   "sum"             of the members' values: what the set costs if single costs add up, on the
//                     rows that chose it; of consecutive blocks 1 - cos of the stream at the ends
//                     of their run
//   "measured"        {"set", "checkpoint", "loss", "kl"}: what the store has of the very set, at
//   the
//                     last checkpoint, as estimates in nats; null: it was not measured
//   "budget"          {"resource", "context", "whole", "allowed", "left"}, or null
// and where it comes from: "by" what it was ranked, the store, how many rows of text of how many
// tokens it was ranked on ("rows", "seq_len", "tokens_digest"), its first and last checkpoint that
// count, "chosen_by" "mean", "worst", "last", "below", "budget", "consecutive" or "given", "over"
// which value, "tau", "level", "resamples", "seed". Where nothing is below tau the set is empty, so
// that who follows the plan drops nothing. Freed with json_decref. TR_EUSAGE when several groups
// were wanted, no layer of the one has a value, or too few are not protected.
enum tr_status an_drop_plan(json_t **value_p, const struct an_result *result, struct tr_err *err);

#endif
