// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "store_state.h"

enum { VALUE_MAX = 120 };

const struct tr_comparison tr_comparison_run = {
    .here = "this run",
    .some = "rows traced before",
    .advice = "use another output file, or --fresh to start again"};

static enum tr_status differ(const struct tr_comparison *words, const char *path, const char *what,
                             const char *there, const char *here, struct tr_err *err) {
    return tr_fail(err, TR_ECONFLICT, "%s has %s = %s, %s has %s; %s", path, what, there,
                   words->here, here, words->advice);
}

static enum tr_status compare_number(const struct tr_comparison *words, const char *path,
                                     const char *what, int64_t there, int64_t here,
                                     struct tr_err *err) {
    char a[VALUE_MAX], b[VALUE_MAX];
    snprintf(a, sizeof a, "%lld", (long long)there);
    snprintf(b, sizeof b, "%lld", (long long)here);
    return there == here ? TR_OK : differ(words, path, what, a, b, err);
}

static enum tr_status compare_presence(const struct tr_comparison *words, const char *path,
                                       const char *variable, bool there, bool here,
                                       struct tr_err *err) {
    if (there == here)
        return TR_OK;
    return tr_fail(err, TR_ECONFLICT, "%s was traced %s %s, %s is %s; %s", path,
                   there ? "with" : "without", variable, words->here,
                   here ? "with it" : "without it", words->advice);
}

// Costs are an addition: a run may bring them to rows that were traced without.
static enum tr_status compare_costs(const struct tr_comparison *words, const struct tr_layout *here,
                                    const struct tr_layout *there, const char *path,
                                    struct tr_err *err) {
    if (!there->cost_sequences)
        return TR_OK;
    TR_TRY(compare_number(words, path, "cost_samples", there->cost_sequences, here->cost_sequences,
                          err));
    return compare_number(words, path, "cost_batch", there->cost_batch, here->cost_batch, err);
}

static enum tr_status compare_layout(const struct tr_comparison *words,
                                     const struct tr_layout *here, const struct tr_layout *there,
                                     const char *path, struct tr_err *err) {
    TR_TRY(compare_number(words, path, "layers", there->layers, here->layers, err));
    TR_TRY(compare_number(words, path, "sequences", there->sequences, here->sequences, err));
    TR_TRY(compare_number(words, path, "seq_len", there->seq_len, here->seq_len, err));
    TR_TRY(compare_presence(words, path, "nll", there->nll, here->nll, err));
    TR_TRY(
        compare_presence(words, path, "importance_token", there->per_token, here->per_token, err));
    TR_TRY(compare_presence(words, path, "span_similarity", there->span_tokens > 0,
                            here->span_tokens > 0, err));
    TR_TRY(compare_number(words, path, "span_tokens", there->span_tokens, here->span_tokens, err));
    TR_TRY(compare_number(words, path, "drift_tokens", there->probes, here->probes, err));
    TR_TRY(compare_number(words, path, "channels", there->channels, here->channels, err));
    TR_TRY(compare_costs(words, here, there, path, err));
    // A search is an addition, too; where both have one it is the same.
    if (there->rounds && here->rounds)
        TR_TRY(compare_number(words, path, "search rounds", there->rounds, here->rounds, err));
    return TR_OK;
}

static void print_value(const struct tr_attribute *attribute, char out[VALUE_MAX]) {
    if (!attribute)
        snprintf(out, VALUE_MAX, "nothing");
    else if (attribute->is_number)
        snprintf(out, VALUE_MAX, "%lld", (long long)attribute->number);
    else
        snprintf(out, VALUE_MAX, "\"%.*s\"", VALUE_MAX - 3, attribute->text);
}

static bool equal(const struct tr_attribute *a, const struct tr_attribute *b) {
    if (!a || !b || a->is_number != b->is_number)
        return false;
    return a->is_number ? a->number == b->number : !strcmp(a->text, b->text);
}

static enum tr_status compare_attribute(const struct tr_comparison *words,
                                        const struct tr_attribute *here,
                                        const struct tr_attribute *there, const char *path,
                                        struct tr_string *warnings, struct tr_err *err) {
    const char *name = here ? here->name : there->name;
    enum tr_attribute_role role = here ? here->role : there->role;
    if (role == TR_VOLATILE || role == TR_GAINED || equal(here, there) ||
        (role == TR_ADDED && (!here || !there)))
        return TR_OK;
    char a[VALUE_MAX], b[VALUE_MAX], sentence[3 * VALUE_MAX];
    print_value(there, a);
    print_value(here, b);
    if (role == TR_IDENTITY || role == TR_ADDED)
        return differ(words, path, name, a, b, err);
    // The file's own name stays out, so that a hundred parts warn once.
    snprintf(sentence, sizeof sentence, "%s was %s in %s, %s has %s\n", name, a, words->some,
             words->here, b);
    if (warnings->data && strstr(warnings->data, sentence))
        return TR_OK;
    return tr_string_append(warnings, sentence, strlen(sentence), err);
}

static enum tr_status compare_sequences(const struct tr_comparison *words,
                                        const struct tr_run_info *here,
                                        const struct tr_run_info *there, const char *path,
                                        struct tr_err *err) {
    for (int64_t i = 0; i < here->layout.sequences; i++)
        if (strcmp(here->ids_digest[i], there->ids_digest[i]) ||
            strcmp(here->text[i], there->text[i]))
            return tr_fail(
                err, TR_ECONFLICT,
                "%s was traced over other tokens: its sequence %lld is of \"%.80s\" with "
                "digest %s, %s has \"%.80s\" with digest %s; %s",
                path, (long long)i, there->text[i], there->ids_digest[i], words->here,
                here->text[i], here->ids_digest[i], words->advice);
    return TR_OK;
}

// Named sets are an addition, too; where both have them they are the same.
static enum tr_status compare_sets(const struct tr_comparison *words,
                                   const struct tr_run_info *here, const struct tr_run_info *there,
                                   const char *path, struct tr_err *err) {
    if (!there->layout.drop_sets)
        return TR_OK;
    TR_TRY(compare_number(words, path, "drop_sets", there->layout.drop_sets, here->layout.drop_sets,
                          err));
    for (int64_t i = 0; i < here->layout.drop_sets; i++)
        if (strcmp(here->set_name[i], there->set_name[i]) ||
            strcmp(here->set_drop[i], there->set_drop[i]))
            return tr_fail(err, TR_ECONFLICT,
                           "%s has the drop set \"%.64s\" of %.200s where %s has \"%.64s\" of "
                           "%.200s; %s",
                           path, there->set_name[i], there->set_drop[i], words->here,
                           here->set_name[i], here->set_drop[i], words->advice);
    return TR_OK;
}

static enum tr_status compare_candidates(const struct tr_comparison *words,
                                         const struct tr_run_info *here,
                                         const struct tr_run_info *there, const char *path,
                                         struct tr_err *err) {
    if (!there->layout.candidates || !here->layout.candidates)
        return TR_OK;
    TR_TRY(compare_number(words, path, "search candidates", there->layout.candidates,
                          here->layout.candidates, err));
    for (int64_t i = 0; i < here->layout.candidates; i++)
        if (strcmp(here->candidate[i], there->candidate[i]))
            return differ(words, path, "candidate_drop", there->candidate[i], here->candidate[i],
                          err);
    return TR_OK;
}

enum tr_status tr_store_compare(const struct tr_comparison *words, const struct tr_run_info *here,
                                const struct tr_run_info *there, const char *path,
                                struct tr_string *warnings, struct tr_err *err) {
    TR_TRY(compare_layout(words, &here->layout, &there->layout, path, err));
    for (int64_t i = 0; i < here->count; i++) {
        const struct tr_attribute *attribute = &here->attributes[i];
        TR_TRY(compare_attribute(words, attribute, tr_run_info_find(there, attribute->name), path,
                                 warnings, err));
    }
    // Attributes that only the file has differ, too.
    for (int64_t i = 0; i < there->count; i++) {
        const struct tr_attribute *attribute = &there->attributes[i];
        if (!tr_run_info_find(here, attribute->name))
            TR_TRY(compare_attribute(words, NULL, attribute, path, warnings, err));
    }
    TR_TRY(compare_sets(words, here, there, path, err));
    TR_TRY(compare_candidates(words, here, there, path, err));
    return compare_sequences(words, here, there, path, err);
}
