// SPDX-License-Identifier: Apache-2.0
// What a store says of a model's sizes, in words.
#include <string.h>

#include "analysis/sizes.h"

static bool is_alike(const struct an_size *a, const struct an_size *b) {
    return a->present == b->present && a->parameters == b->parameters && a->met == b->met &&
           a->kept == b->kept && a->key == b->key && a->window == b->window &&
           a->chunks == b->chunks;
}

// "attn 0 to 9: 12.3 k each; a token keeps 64 values, and sees 1024 tokens back"
static enum tr_status add_run(struct tr_string *out, const struct an_size *size, int module,
                              int64_t first, int64_t last, struct tr_err *err) {
    char number[TR_HUMAN_MAX];
    TR_TRY(tr_string_format(out, err, "\n%s %lld", tr_module_names[module], (long long)first));
    if (last > first)
        TR_TRY(tr_string_format(out, err, " to %lld", (long long)last));
    TR_TRY(tr_string_format(out, err, ": %s%s", tr_human_count(size->parameters, number),
                            last > first ? " each" : ""));
    if (size->met != size->parameters)
        TR_TRY(tr_string_format(out, err, ", of which a token meets %s",
                                tr_human_count(size->met, number)));
    if (size->kept > 0)
        TR_TRY(tr_string_format(out, err, "; a token keeps %s values in the cache",
                                tr_human_count(size->kept, number)));
    if (size->window > 0)
        TR_TRY(tr_string_format(out, err,
                                size->chunks ? " and sees no further than its chunk of %lld"
                                             : " and sees %lld tokens back",
                                (long long)size->window));
    return TR_OK;
}

enum tr_status an_sizes_text(struct tr_string *out, const struct an_sizes *sizes,
                             struct tr_err *err) {
    char whole[TR_HUMAN_MAX], elsewhere[TR_HUMAN_MAX];
    TR_TRY(tr_string_format(out, err, "%s of %g bytes each; %s in embedding and head",
                            tr_human_count(an_size_whole(sizes, AN_PARAMETERS, 0), whole),
                            sizes->weight_bytes, tr_human_count(sizes->elsewhere, elsewhere)));
    for (int module = 0; module < 2; module++)
        for (int64_t first = 0, last; first < sizes->layers; first = last + 1) {
            const struct an_size *size = &sizes->of[2 * first + module];
            for (last = first;
                 last + 1 < sizes->layers && is_alike(size, &sizes->of[2 * (last + 1) + module]);)
                last++;
            if (size->present)
                TR_TRY(add_run(out, size, module, first, last, err));
        }
    return TR_OK;
}
