// SPDX-License-Identifier: Apache-2.0
// Whether the texts that the rows are of rank the layers alike.
#include <math.h>

#include "writer.h"

static const char *name_of(const struct an_writer *w, const struct an_text *text) {
    const char *name = w->result->series.text[text->text];
    return *name ? name : "no name";
}

enum tr_status an_write_texts(struct an_writer *w, struct tr_err *err) {
    if (w->group->texts == 0)
        return TR_OK;
    TR_TRY(tr_string_format(w->text, err, "Texts: of the %s over training", w->lowest));
    for (int64_t i = 0; i < w->group->texts; i++) {
        const struct an_text *text = &w->group->text[i];
        TR_TRY(tr_string_format(w->text, err, "%s %s alone (%lld row%s) finds %lld", i ? ";" : ",",
                                name_of(w, text), (long long)text->rows, an_plural(text->rows),
                                (long long)text->common));
        if (isfinite(text->spearman))
            TR_TRY(tr_string_format(w->text, err, ", its order's correlation with the others' %.2f",
                                    text->spearman));
    }
    TR_TRY(tr_string_append(w->text, ".", 1, err));
    return an_write_paragraph(w, err);
}

enum tr_status an_add_texts(struct an_writer *w, struct tr_err *err) {
    int64_t differing = 0;
    if (w->group->texts == 0)
        return TR_OK;
    for (int64_t i = 0; i < w->group->texts; i++) {
        const struct an_text *text = &w->group->text[i];
        if (text->common == w->group->count)
            continue;
        TR_TRY(tr_string_format(w->text, err, "%s %s alone gives %lld of them",
                                differing++ ? ";" : " The text", name_of(w, text),
                                (long long)text->common));
    }
    if (differing == 0)
        return tr_string_format(w->text, err, " Each of the %lld texts alone gives the same.",
                                (long long)w->group->texts);
    return tr_string_append(w->text, ".", 1, err);
}
