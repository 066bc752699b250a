// SPDX-License-Identifier: Apache-2.0
// How published series and trainers name checkpoints: a new way of naming them is a new row.
#include "name_rows.h"

// The first row that gives a field decides it. Case does not matter. Groups: `stage`, `step`,
// `tokens`; `word`: a stage, but the row counts only when it begins with a known word of training;
// `other`: a word that takes the place of a stage; `unclear`: numbers that may be anything.
#define BEGIN "(?<![a-z0-9])"
#define NUMBER_BEGIN "(?<![a-z0-9.,+'])"
// "1_5T_tokens": 1.5, or the first of 5?
#define WHOLE "(?!(?<=^[0-9]_)[0-9]{1,2}[bt])"
// "step11921+11000", "step3rd", "step1.5" and "step1,000" tell no step 11921, 3 or 1.
#define END "(?![a-z0-9+]|[.,'][0-9])"
// "step_2_5000": two numbers, and one does not know which.
#define ALONE "(?![-_](?!" DATE "(?![0-9]))[0-9]+(?![a-z0-9.]))"
#define DECIMAL "[0-9]+(?:\\.[0-9]+)?"
#define EXPONENT "e[+]?[0-9]{1,2}"
#define COUNT DECIMAL "(?:[km]|" EXPONENT ")?"
#define SIZE DECIMAL "(?:k|m|mt|b|bt|t|" EXPONENT ")"
#define SEP "[-_=. ]?"
#define STEPPING "(?:global[-_]?)?(?:steps?|iter|checkpoint|ckpt|ba|epoch|tokens?)[-_=]?[0-9]"
// What is planned is not reached.
#define REACHED "(?<!target[-_])(?<!max[-_])(?<!total[-_])(?!(?<=warmup[-_])steps)"
#define SECOND "(?:[-_](?:up|(?:pre[-_]?)?train(?:ing)?|context|ctx|down|extension))?"
// "lc-4k-to-32k"
#define LENGTHS "(?:[-_]?[0-9]+k(?:[-_]to[-_][0-9]+k)?)?"
#define LONG                                                                                       \
    "(?:lc|long|longctx|long[-_]?context|ctx|context|yarn|ext|extension|"                          \
    "(?:context|ctx)[-_]?extension)"
// A schedule of warm-up, stable rate and decay; its stages follow.
#define SCHEDULE "(?:wsd[-_])?"
#define DATE "(?:19|20)[0-9]{2}-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12][0-9]|3[01])"
// A date, or seconds since 1970.
#define NO_MOMENT "(?!(?:" DATE "|1[0-9]{9})(?![0-9]))"
#define FILE_END "(?:\\.(?:ckpt|pt|pth|bin|safetensors))?$"
// Words before a step that are no stage.
#define PLAIN                                                                                      \
    "(?:checkpoint|ckpt|global|model|train|training|opt|optim|optimizer|batch|hf|state|epoch|"     \
    "seed[a-z]*|target|max|seen|"                                                                  \
    "total|intermediate|run|exp|data|num|main|final|latest|last|best|release|consolidated|"        \
    "merged|converted|huggingface|tmp)"

const char *const tr_name_rows[TR_NAME_ROWS] = {
    // stages
    BEGIN "(?<stage>(?:stage|phase)(?:[-_.]?[0-9]{1,3}(?:[.][0-9]|[a-d])?|[-_](?:[ivx]{1,4}|[a-d]))"
          "(?:[-_]ingredient[-_]?["
          "0-9]+)?)" END,
    "^(?<stage>mid_[0-9]+)(?:[-_](?:(?<step>[0-9]+k?)|final))?$",
    "^(?<word>" LONG "[-_]?[0-9]+k)$", // a length, not a step
    "^" SCHEDULE "(?!it[-_]?[0-9]|" LONG "[-_]?[0-9]+k$)(?<word>[a-z]+" SECOND
    ")[-_]?(?<step>[0-9]{2,}k?|[0-9]+k|0)$",
    "^" SCHEDULE "(?!base|chat|instruct|it)(?<word>[a-z]+" SECOND ")[-_](?<tokens>" DECIMAL
    "[mbt])$",
    "^" SCHEDULE "(?!warm[-_]?up[-_]steps)(?<word>[a-z]+" SECOND LENGTHS ")[-_]" STEPPING,
    "(?<=[-_])(?<!weight[-_])(?<!lr[-_])(?!base|stable|constant|chat|instruct|it[-_])"
    "(?<word>[a-z]+" SECOND LENGTHS ")[-_]" STEPPING,
    "^(?<word>[a-z]+" SECOND ")[-_](?:final|latest|last|hf|" SIZE "[-_]?tokens?)$",
    "^" SCHEDULE "(?<word>it(?:[-_][a-z]+)+|(?!base[-_]|stable[-_])[a-z]+" SECOND ")$",
    "[-_](?<word>sft|dpo|apo|kto|orpo|simpo|rlvr[0-9]*|rlhf|grpo|ppo|instruct|chat)$",
    "^(?!" PLAIN
    "[-_])(?<other>[a-z]{2,}(?:[-_][a-z]{2,}){0,3})(?<!global|warmup|target|max|total)[-_]"
    "(?:global[-_]?)?(?:step|iter)s?[-_=]?[0-9]",
    "(?<![a-z0-9])(?!(?:e|ep|epoch|seed|rank|shard|gpu|node|tp|pp|dp|gbs|bs|mbs|lr|v)[0-9])"
    "(?<other>[a-z]+[0-9]+)[-_](?:global[-_]?)?(?:step|iter)s?[-_=]?[0-9]",
    // tokens
    BEGIN "seen_tokens_(?<tokens>" SIZE "|[0-9]+)" END,
    BEGIN REACHED "tok(?:en)?s?(?:[-_]?seen)?[-_=]?(?<tokens>" SIZE END "|" DECIMAL END ALONE ")",
    NUMBER_BEGIN WHOLE "(?<tokens>" SIZE ")[-_ ]?tok(?:en)?s?" END,
    // A bare size counts tokens only behind a step: "llama-7b" does not.
    BEGIN "steps?[-_=]?" COUNT "[-_](?<tokens>" DECIMAL "(?:m|b|bt|t))$",
    "^train_(?<tokens>[0-9]+b)$",
    NUMBER_BEGIN "(?<tokens>" DECIMAL "bt)" END,
    "[-_](?<tokens>" DECIMAL "t)$",
    "^(?<tokens>" DECIMAL "(?:m|mt|b|bt|t))$",
    "^(?:ckpt|checkpoint|iter|train|at)[-_]?(?<tokens>" DECIMAL "[mbt])$",
    // steps
    BEGIN "seen_steps_(?<step>" COUNT ")" END,
    BEGIN REACHED "(?:global|train(?:ing)?)?steps?" SEP "(?<step>" COUNT ")" END ALONE,
    BEGIN "(?:iter(?:ation)?s?|it)" SEP "(?<step>" COUNT ")" END ALONE,
    "^checkpoint_[0-9]+_(?<step>[0-9]+)" END "(?!_[0-9])", // fairseq: epoch, updates
    BEGIN "(?:checkpoints?|ckpts?|chkpts?|chkpnts?|snapshot)[-_=. ]" NO_MOMENT "(?<step>" DECIMAL
          "(?:k|" EXPONENT ")?)" END ALONE,
    BEGIN "(?:ba|batch(?:es)?)[-_=]?(?<step>[0-9]+)" END ALONE,
    BEGIN "gs[-_]?(?<step>" COUNT ")" END ALONE, // global step
    BEGIN "(?:num_)?updates?[-_=]?(?<step>" COUNT ")" END ALONE,
    NUMBER_BEGIN "(?<step>" COUNT ")(?:steps?|[-_]steps|[-_]step$)" END,
    NUMBER_BEGIN "(?<step>" COUNT ")[-_]?it(?:er(?:ation)?)?s?" END,
    "^" NO_MOMENT "(?<step>" DECIMAL "k?)" FILE_END,
    "^(?:model|state|params|streaming_params|save)[-_@](?<step>[0-9]{3,}k?)" FILE_END,
    // what one would like to know
    BEGIN "(?<unclear>(?:steps?|iter|it|ckpt|checkpoint)[-_=]?[0-9]+[-_][0-9]+)",
    "^(?<unclear>(?:ckpt|checkpoint)[0-9]+)",
    "^(?<unclear>[0-9]_[0-9]{1,2}[bt])[-_]tok",
    "(?<unclear>[-_]" DECIMAL "b)$",
    "(?<unclear>" NUMBER_BEGIN "[0-9]+)$",
};
