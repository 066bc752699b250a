// SPDX-License-Identifier: Apache-2.0
// Runs name their stages of training with words; this is what the words say of the order.
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/strings.h"
#include "base/training_order.h"

enum rank { WARMUP, PRETRAIN, MID, DECAY, LONG, SFT, DPO, RL, CHAT, UNKNOWN };
enum { NUMBERED = 10, MOST = 999 }; // stage1 comes behind the words of its rank

// The words are compared by their letters only, so that separators as in warm-up do not count.
static const struct word {
    const char *text;
    enum rank rank;
    int place; // within the rank
} words[] = {
    {"warmup", WARMUP, 0},
    {"rampup", WARMUP, 0},
    {"pretrain", PRETRAIN, 0},
    {"pretraining", PRETRAIN, 0},
    {"pretrained", PRETRAIN, 0},
    {"base", PRETRAIN, 0},
    {"stable", PRETRAIN, 1},
    {"constant", PRETRAIN, 1},
    {"stage", PRETRAIN, NUMBERED},
    {"phase", PRETRAIN, NUMBERED},
    {"mid", MID, 0},
    {"midtrain", MID, 0},
    {"midtraining", MID, 0},
    {"midtrained", MID, 0},
    {"ext", MID, 1},
    {"cpt", MID, 2},
    {"continualpretrain", MID, 2},
    {"continualpretraining", MID, 2},
    {"continuedpretrain", MID, 2},
    {"continuedpretraining", MID, 2},
    {"decay", DECAY, 0},
    {"anneal", DECAY, 0},
    {"annealing", DECAY, 0},
    {"annealed", DECAY, 0},
    {"cooldown", DECAY, 0},
    {"cool", DECAY, 0},
    {"lc", LONG, 0},
    {"long", LONG, 0},
    {"longctx", LONG, 0},
    {"longcontext", LONG, 0},
    {"contextextension", LONG, 0},
    {"context", LONG, 0},
    {"ctx", LONG, 0},
    {"ctxextension", LONG, 0},
    {"yarn", LONG, 0},
    {"extension", LONG, 0},
    {"sft", SFT, 0},
    {"it", SFT, 0},
    {"ft", SFT, 0},
    {"finetune", SFT, 0},
    {"finetuning", SFT, 0},
    {"finetuned", SFT, 0},
    {"instructiontuning", SFT, 0},
    {"posttrain", SFT, 0},
    {"posttraining", SFT, 0},
    {"dpo", DPO, 0},
    {"apo", DPO, 0},
    {"kto", DPO, 0},
    {"orpo", DPO, 0},
    {"simpo", DPO, 0},
    {"ipo", DPO, 0},
    {"cpo", DPO, 0},
    {"rl", RL, 0},
    {"rlvr", RL, 0},
    {"rlhf", RL, 0},
    {"ppo", RL, 0},
    {"grpo", RL, 0},
    {"gspo", RL, 0},
    {"dapo", RL, 0},
    {"rloo", RL, 0},
    {"rlaif", RL, 0},
    {"chat", CHAT, 0},
    {"instruct", CHAT, 0},
};

static bool separates(char c) {
    return c == '-' || c == '_' || c == ' ' || c == '.';
}

// Where `text` goes on behind `word`; NULL when it does not begin with it.
static const char *behind(const char *text, const char *word) {
    for (; *word; word++, text++) {
        while (separates(*text))
            text++;
        if (tolower((unsigned char)*text) != *word)
            return NULL;
    }
    return isalpha((unsigned char)*text) ? NULL : text;
}

static const struct word *first_word(const char *text, const char **rest_p) {
    const struct word *found = NULL;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *rest = behind(text, words[i].text);
        if (rest && (!found || rest > *rest_p)) {
            found = &words[i];
            *rest_p = rest;
        }
    }
    return found;
}

// Of a stage's numbers those that are letters: stage-ii, phase_b. The longest comes first.
static const struct {
    const char *text;
    int64_t number;
} letters[] = {
    {"viii", 8}, {"iii", 3}, {"vii", 7}, {"ii", 2}, {"iv", 4}, {"vi", 6}, {"ix", 9},
    {"i", 1},    {"v", 5},   {"x", 10},  {"a", 1},  {"b", 2},  {"c", 3},  {"d", 4},
};

static int64_t letters_at(const char *text, const char **rest_p) {
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
        size_t size = strlen(letters[i].text);
        if (!strncasecmp(text, letters[i].text, size) && !isalnum((unsigned char)text[size])) {
            *rest_p = text + size;
            return letters[i].number;
        }
    }
    return -1;
}

// The number at the text's start, behind separators; -1 when there is none.
static int64_t number_at(const char *text, const char **rest_p) {
    int64_t number = 0;
    while (separates(*text))
        text++;
    if (!isdigit((unsigned char)*text))
        return letters_at(text, rest_p);
    for (; isdigit((unsigned char)*text); text++)
        number = number < MOST ? number * 10 + (*text - '0') : number;
    *rest_p = text;
    return number < MOST ? number : MOST;
}

// Puts the rank, the place within it and the rank of the words behind into one number.
int64_t tr_stage_key(const char *stage) {
    const char *rest = stage, *tail;
    const struct word *word = first_word(stage, &rest);
    int64_t number;
    if (!*stage)
        return (int64_t)PRETRAIN << 32;
    if (!word && isdigit((unsigned char)*stage) && (number = number_at(stage, &rest)) >= 0 &&
        !*rest)
        return (int64_t)PRETRAIN << 32 | (NUMBERED + number) << 8;
    if (!word)
        return (int64_t)UNKNOWN << 32;
    number = word->place == NUMBERED ? number_at(rest, &rest) : 0;
    if (number < 0)
        return (int64_t)UNKNOWN << 32;
    while (separates(*rest))
        rest++;
    const struct word *second = first_word(rest, &tail);
    int64_t last = !*rest ? 0 : second ? second->rank + 1 : UNKNOWN + 1;
    return (int64_t)word->rank << 32 | (word->place + number) << 8 | last;
}

int tr_stage_compare(const char *a, const char *b) {
    int64_t left = tr_stage_key(a), right = tr_stage_key(b);
    if (left != right)
        return left < right ? -1 : 1;
    return tr_natural_compare(a, b);
}

bool tr_stage_known(const char *stage) {
    return tr_stage_key(stage) >> 32 != UNKNOWN;
}

int64_t tr_stage_number(const char *stage) {
    const char *rest;
    const struct word *word = first_word(stage, &rest);
    return word && word->place == NUMBERED ? number_at(rest, &rest) : -1;
}

static bool is_any(const char *name, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!strcasecmp(name, list[i]))
            return true;
    return false;
}

bool tr_names_the_beginning(const char *name) {
    static const char *const beginnings[] = {"init",
                                             "initial",
                                             "initialization",
                                             "initialized",
                                             "random",
                                             "random-init",
                                             "random_init",
                                             "rand_init",
                                             "untrained",
                                             "model_init",
                                             "model-init",
                                             "init_model",
                                             "initial_model",
                                             "initial-model",
                                             "ckpt_init",
                                             "checkpoint_init",
                                             "checkpoint-init",
                                             "init_ckpt",
                                             "init_checkpoint",
                                             "at_init",
                                             "at-init"};
    return is_any(name, beginnings, sizeof beginnings / sizeof *beginnings);
}

bool tr_names_the_end(const char *name) {
    static const char *const ends[] = {"main",
                                       "master",
                                       "final",
                                       "latest",
                                       "last",
                                       "release",
                                       "final_model",
                                       "last.ckpt",
                                       "latest.ckpt",
                                       "end",
                                       "hf-main",
                                       "main-hf",
                                       "checkpoint-final",
                                       "checkpoint-last",
                                       "checkpoint-latest",
                                       "checkpoint_final",
                                       "checkpoint_last",
                                       "checkpoint_latest",
                                       "final_checkpoint",
                                       "final-checkpoint",
                                       "final_ckpt",
                                       "final-model",
                                       "model_final",
                                       "model-final",
                                       "model_last",
                                       "last_checkpoint",
                                       "latest_checkpoint",
                                       "hf_final",
                                       "final_hf",
                                       "final-hf",
                                       "release_hf"};
    return is_any(name, ends, sizeof ends / sizeof *ends);
}
