// SPDX-License-Identifier: Apache-2.0
#include "tiktoken.h"

#include <ctype.h>
#include <string.h>

#include "base/alloc.h"
#include "base64.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define WORDS_AND_NUMBERS(numbers)                                                                 \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers                                         \
                 "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED_WORDS                                                                                \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" CONTRACTIONS "?|[^\\r\\n\\p{L}\\p{N}]?" UPPER     \
    "+" LOWER "*" CONTRACTIONS "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+"       \
    "|\\s+(?!\\S)|\\s+"

// How the models that are published with such a file split text.
static const struct {
    const char *model_type, *pattern;
} splits[] = {
    {"llama", WORDS_AND_NUMBERS("\\p{N}{1,3}")}, {"llama4_text", CASED_WORDS},
    {"qwen", WORDS_AND_NUMBERS("\\p{N}")},       {"qwen2", WORDS_AND_NUMBERS("\\p{N}")},
    {"qwen2_moe", WORDS_AND_NUMBERS("\\p{N}")},  {"qwen3", WORDS_AND_NUMBERS("\\p{N}")},
    {"qwen3_moe", WORDS_AND_NUMBERS("\\p{N}")},  {"gpt_oss", CASED_WORDS},
};

struct line {
    const char *token; // in base64
    size_t size;
    int32_t rank;
};

// Reads "TOKEN RANK" in text[0, size).
static bool read_line(const char *text, size_t size, struct line *line) {
    const char *space = memchr(text, ' ', size);
    if (!space || space == text)
        return false;
    size_t at = (size_t)(space - text) + 1;
    int64_t rank = 0;
    if (at == size)
        return false;
    for (; at < size && isdigit((unsigned char)text[at]) && rank < INT32_MAX; at++)
        rank = 10 * rank + (text[at] - '0');
    *line = (struct line){text, (size_t)(space - text), (int32_t)rank};
    return at == size && rank < INT32_MAX;
}

static size_t line_size(const char *text, size_t size, size_t *next_p) {
    const char *newline = memchr(text, '\n', size);
    size_t length = newline ? (size_t)(newline - text) : size;
    *next_p = newline ? length + 1 : size;
    return length && text[length - 1] == '\r' ? length - 1 : length;
}

bool tr_is_tiktoken(const char *bytes, size_t size) {
    struct line line;
    size_t next, length = line_size(bytes, size < 4096 ? size : 4096, &next);
    return read_line(bytes, length, &line);
}

static enum tr_status malformed(const char *what, int64_t number, const char *problem,
                                struct tr_err *err) {
    return tr_fail(err, TR_EFORMAT, "%s, line %lld: %s", what, (long long)number, problem);
}

static enum tr_status add_token(struct tr_model *model, const struct line *line, int64_t number,
                                struct tr_string *token, const char *what, struct tr_err *err) {
    bool valid;
    token->size = 0;
    TR_TRY(tr_base64_decode(line->token, line->size, token, &valid, err));
    if (!valid || !token->size)
        return malformed(what, number, "the token is not base64", err);
    if (token->size > TR_PREFIX_MAX)
        return malformed(what, number, "a token of more than 1024 bytes", err);
    if (tr_vocabulary_find(&model->vocabulary, token->data, token->size) >= 0)
        return malformed(what, number, "the token stands twice", err);
    if (token->size > model->bpe.longest)
        model->bpe.longest = token->size;
    return tr_vocabulary_add(&model->vocabulary, token->data, token->size, line->rank, err);
}

static enum tr_status add_tokens(struct tr_model *model, const char *bytes, size_t size,
                                 const char *what, struct tr_err *err) {
    struct tr_string token = {0};
    enum tr_status status = TR_OK;
    int64_t number = 1;
    for (size_t at = 0, next; at < size && status == TR_OK; at += next, number++) {
        struct line line;
        size_t length = line_size(bytes + at, size - at, &next);
        if (!length)
            continue;
        status =
            read_line(bytes + at, length, &line)
                ? add_token(model, &line, number, &token, what, err)
                : malformed(what, number, "a token in base64, a space and a rank expected", err);
    }
    tr_string_free(&token);
    return status;
}

// A token's rank is its id. Ids may not lie far beyond the number of tokens.
static enum tr_status rank_tokens(struct tr_model *model, const char *what, struct tr_err *err) {
    const struct tr_vocabulary *v = &model->vocabulary;
    if (v->size > 2 * (int64_t)v->count + 4096)
        return tr_fail(err, TR_EFORMAT, "%s: rank %lld among %llu tokens", what,
                       (long long)v->size - 1, (unsigned long long)v->count);
    TR_TRY(TR_NEW(&model->bpe.ranks, v->size, "the ranks", err));
    for (int64_t i = 0; i < v->size; i++)
        model->bpe.ranks[i] = (int32_t)i;
    for (int byte = 0; byte < 256; byte++)
        if (tr_vocabulary_find(v, &(char){(char)byte}, 1) < 0)
            return tr_fail(err, TR_EFORMAT, "%s: byte %d has no token", what, byte);
    return TR_OK;
}

const char *tr_tiktoken_words(const char *model_type) {
    for (size_t i = 0; model_type && i < sizeof splits / sizeof *splits; i++)
        if (!strcmp(splits[i].model_type, model_type))
            return splits[i].pattern;
    return NULL;
}

static enum tr_status find_split(const char *model_type, const char **pattern_p, const char *what,
                                 struct tr_err *err) {
    *pattern_p = tr_tiktoken_words(model_type);
    if (*pattern_p)
        return TR_OK;
    return tr_fail(err, TR_EUNSUPPORTED,
                   "%s is a file of ranks, which does not say how text is split into words, and "
                   "for a model of type \"%.64s\" we do not know it; a tokenizer.json does (or "
                   "pass token ids)",
                   what, model_type ? model_type : "unknown");
}

enum tr_status tr_tiktoken_parse(struct tr_model *model, struct tr_pretokenizer **pretokenizer_p,
                                 const char *bytes, size_t size, const char *model_type,
                                 const char *what, struct tr_err *err) {
    const char *pattern = NULL;
    model->type = tr_model_type_find("BPE");
    model->unknown = -1;
    model->bpe.bytes = model->bpe.ignore_merges = true;
    TR_TRY(add_tokens(model, bytes, size, what, err));
    TR_TRY(rank_tokens(model, what, err));
    TR_TRY(find_split(model_type, &pattern, what, err));
    return tr_pretokenizer_split_at(pretokenizer_p, pattern, what, err);
}
