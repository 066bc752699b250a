// SPDX-License-Identifier: Apache-2.0
#include "score_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/sort.h"

// By tokens, in the order of a dictionary: what begins alike stands together, the shorter first.
static int by_tokens(const void *a, const void *b, void *context) {
    const struct tr_prompts *prompts = context;
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    const struct tr_prompt *x = &prompts->prompts[i], *y = &prompts->prompts[j];
    int64_t both = x->count < y->count ? x->count : y->count;
    for (int64_t t = 0; t < both; t++)
        if (x->tokens[t] != y->tokens[t])
            return x->tokens[t] < y->tokens[t] ? -1 : 1;
    if (x->count != y->count)
        return x->count < y->count ? -1 : 1;
    return (i > j) - (i < j);
}

// Longest first, so that too little memory shows at once; of equal ones the first stays first.
static int by_length(const void *a, const void *b, void *context) {
    const struct tr_score_row *x = a, *y = b;
    (void)context;
    if (x->length != y->length)
        return x->length > y->length ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

static bool rides_on(const struct tr_prompt *a, const struct tr_prompt *b, bool exact) {
    return a->count <= b->count && (!exact || a->count == b->count) &&
           memcmp(a->tokens, b->tokens, (size_t)a->count * sizeof *a->tokens) == 0;
}

// Rounded up by an eighth at most, so that rows of many lengths need few shapes.
static int64_t rounded(int64_t fed, int64_t longest) {
    enum { LEAST = 16 };
    int64_t unit = LEAST;
    while (unit * 16 <= fed)
        unit *= 2;
    int64_t length = (fed + unit - 1) / unit * unit;
    return length <= longest ? length : fed > longest ? fed : longest;
}

enum tr_status tr_score_rows_make(struct tr_score_rows *rows, const struct tr_prompts *prompts,
                                  int64_t longest, bool exact, struct tr_err *err) {
    struct tr_score_rows made = {0};
    const struct tr_prompt *all = prompts->prompts;
    enum tr_status status = TR_NEW(&made.order, prompts->count, "the order of prompts", err);
    if (status == TR_OK)
        status = TR_NEW(&made.rows, prompts->count, "rows of prompts", err);
    if (status != TR_OK) {
        tr_score_rows_free(&made);
        return status;
    }
    for (int64_t i = 0; i < prompts->count; i++)
        made.order[i] = i;
    tr_sort(made.order, (size_t)prompts->count, sizeof *made.order, by_tokens, (void *)prompts);
    for (int64_t i = 0, first = 0; i < prompts->count; i++) {
        const struct tr_prompt *prompt = &all[made.order[i]];
        if (i + 1 < prompts->count && rides_on(prompt, &all[made.order[i + 1]], exact))
            continue;
        int64_t fed = prompt->count - 1, length = exact ? fed : rounded(fed, longest);
        made.rows[made.count++] = (struct tr_score_row){first, i + 1, fed, length};
        first = i + 1;
    }
    tr_sort(made.rows, (size_t)made.count, sizeof *made.rows, by_length, NULL);
    *rows = made;
    return TR_OK;
}

void tr_score_rows_free(struct tr_score_rows *rows) {
    free(rows->order);
    free(rows->rows);
    *rows = (struct tr_score_rows){0};
}
