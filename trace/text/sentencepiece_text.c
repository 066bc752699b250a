// SPDX-License-Identifier: Apache-2.0
#include "sentencepiece_text.h"

#include <stdlib.h>
#include <string.h>

#include "characters.h"
#include "normal_steps.h"

static const char mark[] = "\xe2\x96\x81", replacement[] = "\xef\xbf\xbd";

void tr_sentencepiece_text_free(struct tr_sentencepiece_text *text) {
    if (!text)
        return;
    tr_charsmap_free(&text->charsmap);
    tr_prefix_free(&text->defined);
    free(text);
}

// What the text begins with, and what that becomes: a piece of the user's, the longest text that
// the map has, or a character.
static enum tr_status map_prefix(const struct tr_sentencepiece_text *t, const char *text,
                                 size_t size, struct tr_mapped *mapped, struct tr_err *err) {
    const struct tr_prefix *defined = tr_prefix_longest(&t->defined, text, size);
    if (defined) {
        *mapped = (struct tr_mapped){defined->size, text, defined->size};
        return TR_OK;
    }
    TR_TRY(tr_charsmap_find(&t->charsmap, text, size, TR_LONGEST, mapped, err));
    if (mapped->used)
        return TR_OK;
    int32_t code;
    size_t used = tr_utf8_first(text, size, &code);
    *mapped = used ? (struct tr_mapped){used, text, used}
                   : (struct tr_mapped){1, replacement, sizeof replacement - 1};
    return TR_OK;
}

static bool is_space(const struct tr_mapped *mapped) {
    return mapped->size == 1 && *mapped->text == ' ';
}

// Bytes at the start of the text that become a single space each.
static enum tr_status leading_spaces(const struct tr_sentencepiece_text *t,
                                     const struct tr_normal_run *run, size_t *size_p,
                                     struct tr_err *err) {
    size_t at = 0;
    while (at < run->size) {
        struct tr_mapped mapped;
        TR_TRY(map_prefix(t, run->text + at, run->size - at, &mapped, err));
        if (!is_space(&mapped))
            break;
        at += mapped.used;
    }
    *size_p = at;
    return TR_OK;
}

static enum tr_status put_space(const struct tr_sentencepiece_text *t, struct tr_normal_run *run,
                                struct tr_err *err) {
    return t->escape_whitespaces ? tr_normal_put(run, mark, sizeof mark - 1, err)
                                 : tr_normal_put(run, " ", 1, err);
}

// Appends a mapped text with its spaces escaped. After a space, with extra white space removed,
// leading spaces are left out.
static enum tr_status put_mapped(const struct tr_sentencepiece_text *t, struct tr_normal_run *run,
                                 struct tr_mapped mapped, bool *after_space, struct tr_err *err) {
    while (*after_space && mapped.size && *mapped.text == ' ') {
        mapped.text++;
        mapped.size--;
    }
    if (!mapped.size)
        return TR_OK;
    for (size_t i = 0; i < mapped.size; i++)
        TR_TRY(mapped.text[i] == ' ' ? put_space(t, run, err)
                                     : tr_normal_put(run, mapped.text + i, 1, err));
    *after_space = t->remove_extra_whitespaces && mapped.text[mapped.size - 1] == ' ';
    return TR_OK;
}

static void strip_end(const struct tr_sentencepiece_text *t, struct tr_string *out) {
    const char *space = t->escape_whitespaces ? mark : " ";
    size_t size = strlen(space);
    while (out->size >= size && !memcmp(out->data + out->size - size, space, size))
        out->size -= size;
}

enum tr_status tr_normal_sentencepiece(const struct tr_normal_step *step, struct tr_normal_run *run,
                                       struct tr_err *err) {
    const struct tr_sentencepiece_text *t = step->pieces;
    size_t at = 0;
    bool after_space = t->remove_extra_whitespaces;
    if (t->remove_extra_whitespaces)
        TR_TRY(leading_spaces(t, run, &at, err));
    if (at == run->size)
        return TR_OK;
    if (t->add_dummy_prefix && !t->suffix)
        TR_TRY(put_space(t, run, err));
    while (at < run->size) {
        struct tr_mapped mapped;
        TR_TRY(map_prefix(t, run->text + at, run->size - at, &mapped, err));
        TR_TRY(put_mapped(t, run, mapped, &after_space, err));
        at += mapped.used;
    }
    if (t->remove_extra_whitespaces)
        strip_end(t, run->out);
    return t->add_dummy_prefix && t->suffix ? put_space(t, run, err) : TR_OK;
}
