// SPDX-License-Identifier: Apache-2.0
#include "base/training_order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"

// A moment with what decides its place: its own, or that of the one with the same weights.
struct placed {
    struct tr_moment moment;
    const struct tr_moment *place; // whose stage, step, tokens and name decide
    int64_t slot;                  // of the stage in the rule's list
    int64_t key;                   // of the stage's words
    int64_t stage;                 // the stage's number among all, in order
    int64_t listed;                // among the rule's names, INT64_MAX when it is not there
    int end;                       // 1 or -1: of all, by a name that says the end or beginning
    bool by_tokens;
};

// A line of the rule, with its place in its list.
struct listed {
    const char *text;
    int64_t place;
};

struct list {
    const char **lines; // [count], in order
    struct listed *sorted;
    int64_t count;
};

struct rule {
    char *text;
    bool by_tokens;
    struct list stages, names;
};

// ---- the rule --------------------------------------------------------------------------------

static int compare_listed(const void *a, const void *b) {
    const struct listed *left = a, *right = b;
    int order = strcmp(left->text, right->text);
    return order ? order : (left->place > right->place) - (left->place < right->place);
}

static enum tr_status fill_list(struct list *list, char **rest, int64_t count, struct tr_err *err) {
    TR_TRY(TR_NEW(&list->lines, count, "the order of training", err));
    TR_TRY(TR_NEW(&list->sorted, count, "the order of training", err));
    for (; list->count < count; list->count++) {
        list->lines[list->count] = strsep(rest, "\n");
        list->sorted[list->count] = (struct listed){list->lines[list->count], list->count};
    }
    qsort(list->sorted, (size_t)count, sizeof *list->sorted, compare_listed);
    return TR_OK;
}

// The place of the first such line, -1 when there is none.
static int64_t place_of(const struct list *list, const char *text) {
    struct listed wanted = {text, -1}, *sorted = list->sorted;
    int64_t low = 0, high = list->count;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (compare_listed(&sorted[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < list->count && !strcmp(sorted[low].text, text) ? sorted[low].place : -1;
}

static void free_rule(struct rule *rule) {
    free(rule->text);
    free(rule->stages.lines);
    free(rule->stages.sorted);
    free(rule->names.lines);
    free(rule->names.sorted);
}

static enum tr_status read_rule(struct rule *rule, const char *text, struct tr_err *err) {
    int64_t lines = 0, names = 0;
    TR_TRY(tr_strdup(&rule->text, text ? text : "", err));
    for (const char *c = rule->text; *c; c++)
        lines += *c == '\n';
    char *rest = rule->text, *number = strsep(&rest, "\n"), *word = strsep(&number, " ");
    rule->by_tokens = !strcmp(word, "tokens");
    if (number && !tr_parse_i64(number, 0, lines, &names))
        names = 0;
    TR_TRY(fill_list(&rule->stages, &rest, lines - names, err));
    return fill_list(&rule->names, &rest, names, err);
}

// Stages of the rule's list have odd slots. A stage that is not in it gets the even slot before the
// first one that its words put later.
static int64_t slot_of(const struct rule *rule, const char *stage) {
    int64_t place = place_of(&rule->stages, stage);
    if (place >= 0)
        return 2 * place + 1;
    for (place = 0; place < rule->stages.count; place++)
        if (tr_stage_compare(rule->stages.lines[place], stage) > 0)
            break;
    return 2 * place;
}

// ---- stages as numbers -----------------------------------------------------------------------

static int compare_stage_names(const void *a, const void *b) {
    return strcmp(((const struct placed *)a)->moment.stage,
                  ((const struct placed *)b)->moment.stage);
}

static int compare_stages(const void *a_, const void *b_) {
    const struct placed *a = *(struct placed *const *)a_, *b = *(struct placed *const *)b_;
    if (a->slot != b->slot)
        return a->slot < b->slot ? -1 : 1;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return tr_natural_compare(a->moment.stage, b->moment.stage);
}

// Numbers the stages in their order, so that a comparison of moments does not read words.
static enum tr_status number_stages(struct placed *placed, int64_t count, const struct rule *rule,
                                    struct tr_err *err) {
    struct placed **firsts;
    int64_t stages = 0;
    TR_TRY(TR_NEW(&firsts, count, "the order of stages", err));
    qsort(placed, (size_t)count, sizeof *placed, compare_stage_names);
    for (int64_t i = 0; i < count; i++)
        if (!i || compare_stage_names(&placed[i - 1], &placed[i])) {
            placed[i].slot = slot_of(rule, placed[i].moment.stage);
            placed[i].key = tr_stage_key(placed[i].moment.stage);
            firsts[stages++] = &placed[i];
        }
    qsort(firsts, (size_t)stages, sizeof *firsts, compare_stages);
    for (int64_t i = 0; i < stages; i++)
        firsts[i]->stage = i;
    for (int64_t i = 1; i < count; i++)
        if (!compare_stage_names(&placed[i - 1], &placed[i]))
            placed[i].stage = placed[i - 1].stage;
    free(firsts);
    return TR_OK;
}

// ---- equal weights ---------------------------------------------------------------------------

static bool is_timed(const struct placed *p) {
    return p->moment.step >= 0 || !isnan(p->moment.tokens);
}

static int compare_steps(int64_t a, int64_t b) {
    if ((a < 0) != (b < 0))
        return a < 0 ? 1 : -1;
    return a < 0 ? 0 : (a > b) - (a < b);
}

static int compare_tokens(double a, double b) {
    if (isnan(a) || isnan(b))
        return !!isnan(a) - !!isnan(b);
    return (a > b) - (a < b);
}

// Compares two moments by what decides their places, and by nothing else.
static int compare_places(const struct placed *a, const struct placed *b) {
    int order = a->end - b->end;
    if (!order)
        order = (a->stage > b->stage) - (a->stage < b->stage);
    int steps = compare_steps(a->place->step, b->place->step);
    int tokens = compare_tokens(a->place->tokens, b->place->tokens);
    if (!order)
        order = a->by_tokens ? tokens : steps;
    if (!order)
        order = a->by_tokens ? steps : tokens;
    if (!order)
        order = tr_names_the_end(a->place->name) - tr_names_the_end(b->place->name);
    if (!order)
        order = (a->listed > b->listed) - (a->listed < b->listed);
    if (!order)
        order = tr_natural_compare(a->place->name, b->place->name);
    return order ? order : strcmp(a->place->name, b->place->name);
}

// Sorts moments without step and tokens to the front, and the latest of the others next.
static int compare_weights(const void *a_, const void *b_) {
    const struct placed *a = *(struct placed *const *)a_, *b = *(struct placed *const *)b_;
    int order = strcmp(a->moment.digest, b->moment.digest);
    if (!order)
        order = is_timed(b) - is_timed(a);
    return order ? order : compare_places(b, a);
}

static enum tr_status join_equal_weights(struct placed *placed, int64_t count, struct tr_err *err) {
    struct placed **by_weights;
    TR_TRY(TR_NEW(&by_weights, count, "the order of weights", err));
    for (int64_t i = 0; i < count; i++)
        by_weights[i] = &placed[i];
    qsort(by_weights, (size_t)count, sizeof *by_weights, compare_weights);
    for (int64_t i = 1, first = 0; i < count; i++) {
        struct placed *same = by_weights[first], *here = by_weights[i];
        if (strcmp(same->moment.digest, here->moment.digest))
            first = i;
        else if (*here->moment.digest && is_timed(same) && !is_timed(here) &&
                 !*here->moment.stage) {
            here->place = &same->moment;
            here->stage = same->stage;
            here->end = same->end;
            here->listed = same->listed;
        }
    }
    free(by_weights);
    return TR_OK;
}

// ---- the order -------------------------------------------------------------------------------

static int compare_placed(const void *a_, const void *b_) {
    const struct placed *a = *(struct placed *const *)a_, *b = *(struct placed *const *)b_;
    int order = compare_places(a, b);
    if (!order)
        order = (a->place != &a->moment) - (b->place != &b->moment);
    if (!order)
        order = tr_natural_compare(a->moment.name, b->moment.name);
    return order ? order : strcmp(a->moment.name, b->moment.name);
}

static int64_t listed_place(const struct placed *p, const struct rule *rule) {
    int64_t place = is_timed(p) ? -1 : place_of(&rule->names, p->moment.name);
    return place < 0 ? INT64_MAX : place;
}

static enum tr_status sort(struct placed *placed, struct placed **order, int64_t count,
                           const struct rule *rule, struct tr_err *err) {
    TR_TRY(number_stages(placed, count, rule, err));
    for (int64_t i = 0; i < count; i++) {
        struct placed *p = order[i] = &placed[i];
        p->place = &p->moment;
        p->by_tokens = rule->by_tokens;
        p->listed = listed_place(p, rule);
        p->end = *p->moment.stage || is_timed(p)
                     ? 0
                     : tr_names_the_end(p->moment.name) - tr_names_the_beginning(p->moment.name);
    }
    TR_TRY(join_equal_weights(placed, count, err));
    qsort(order, (size_t)count, sizeof *order, compare_placed);
    return TR_OK;
}

enum tr_status tr_moments_sort(struct tr_moment *moments, int64_t count, const char *rule_text,
                               struct tr_err *err) {
    struct rule rule = {0};
    struct placed *placed = NULL, **order = NULL;
    enum tr_status status;
    TR_GO(status, read_rule(&rule, rule_text, err), out);
    TR_GO(status, TR_NEW(&placed, count, "the order of training", err), out);
    TR_GO(status, TR_NEW(&order, count, "the order of training", err), out);
    for (int64_t i = 0; i < count; i++)
        placed[i].moment = moments[i];
    TR_GO(status, sort(placed, order, count, &rule, err), out);
    for (int64_t i = 0; i < count; i++)
        moments[i] = order[i]->moment;
out:
    free_rule(&rule);
    free(placed);
    free(order);
    return status;
}
