// SPDX-License-Identifier: Apache-2.0
// The steps of a normaliser, each from run->text to run->out.
#include "normal_steps.h"

#include <string.h>
#include <utf8proc.h>

#include "byte_level.h"
#include "characters.h"

static bool is_ascii(const char *text, size_t size) {
    unsigned char all = 0;
    for (size_t i = 0; i < size; i++)
        all |= (unsigned char)text[i];
    return all < 0x80;
}

static size_t count_characters(const char *text, size_t size) {
    size_t count = 0;
    for (size_t at = 0; at < size; at += tr_character_size(text + at, size - at))
        count++;
    return count;
}

// Bytes of the first `count` characters.
static size_t size_of_characters(const char *text, size_t size, size_t count) {
    size_t at = 0;
    for (; at < size && count; count--)
        at += tr_character_size(text + at, size - at);
    return at;
}

// What the lead becomes by itself, as far as the text begins with it, and one character at least.
// Marks that follow may have come between; in a form that composes, the last character may have
// taken some up.
static enum tr_status lead_of_form(enum tr_unicode_form form, struct tr_normal_run *run,
                                   struct tr_err *err) {
    struct tr_string alone = {0}, *out = run->out;
    TR_TRY(tr_unicode_form(form, run->text, run->lead, &alone, err));
    size_t at = 0, used = 0;
    for (; at < alone.size && at < out->size; at += used) {
        used = tr_character_size(alone.data + at, alone.size - at);
        if (out->size - at < used || memcmp(out->data + at, alone.data + at, used))
            break;
    }
    bool last = at < alone.size && at + used == alone.size;
    if (at < out->size && run->lead && (!at || (last && (form == TR_NFC || form == TR_NFKC))))
        at += tr_character_size(out->data + at, out->size - at);
    run->lead_out = at;
    tr_string_free(&alone);
    return TR_OK;
}

enum tr_status tr_normal_form(const struct tr_normal_step *step, struct tr_normal_run *run,
                              struct tr_err *err) {
    run->lead_out = run->lead;
    if (is_ascii(run->text, run->size)) // its own form in all four
        return tr_normal_put(run, run->text, run->size, err);
    TR_TRY(tr_unicode_form(step->form, run->text, run->size, run->out, err));
    TR_TRY(lead_of_form(step->form, run, err));
    return tr_normal_put(run, "", 0, err);
}

enum tr_status tr_normal_prepend(const struct tr_normal_step *step, struct tr_normal_run *run,
                                 struct tr_err *err) {
    run->lead_out = run->lead ? step->content.size + run->lead : 0;
    TR_TRY(tr_normal_put(run, step->content.data, step->content.size, err));
    return tr_normal_put(run, run->text, run->size, err);
}

// Text between two matches, some of which may belong to the lead.
static enum tr_status put_between(struct tr_normal_run *run, size_t start, size_t end,
                                  struct tr_err *err) {
    size_t inside = run->lead < end ? run->lead : end;
    run->lead_out += inside > start ? inside - start : 0;
    return tr_normal_put(run, run->text + start, end - start, err);
}

enum tr_status tr_normal_replace(const struct tr_normal_step *step, struct tr_normal_run *run,
                                 struct tr_err *err) {
    struct tr_matches m = {
        .searcher = run->searcher, .code = step->code, .text = run->text, .size = run->size};
    size_t done = 0;
    for (bool found;;) {
        TR_TRY(tr_matches_next(&m, &found, err));
        if (!found)
            break;
        TR_TRY(put_between(run, done, m.start, err));
        TR_TRY(tr_normal_put_from(run, m.end, step->content.data, step->content.size, err));
        done = m.end;
    }
    return put_between(run, done, run->size, err);
}

enum tr_status tr_normal_strip(const struct tr_normal_step *step, struct tr_normal_run *run,
                               struct tr_err *err) {
    size_t start = step->left ? tr_spaces_at_start(run->text, run->size) : 0;
    size_t left = run->size - start;
    size_t end = step->right && left ? tr_spaces_at_end(run->text + start, left) : 0;
    run->lead_out = run->lead > start ? run->lead - start : 0;
    return tr_normal_put(run, run->text + start, left - end, err);
}

static enum tr_status put_code(struct tr_normal_run *run, size_t source_end, int32_t code,
                               struct tr_err *err) {
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t size = utf8proc_encode_char(code, bytes);
    return tr_normal_put_from(run, source_end, (const char *)bytes, (size_t)size, err);
}

enum tr_status tr_normal_lowercase(const struct tr_normal_step *step, struct tr_normal_run *run,
                                   struct tr_err *err) {
    (void)step;
    for (size_t at = 0; at < run->size;) {
        int32_t code;
        at += tr_utf8_first(run->text + at, run->size - at, &code);
        if (code == 0x130) // the only letter with a lower case of two
            TR_TRY(tr_normal_put_from(run, at, "i\xcc\x87", 3, err));
        else
            TR_TRY(put_code(run, at, utf8proc_tolower(code), err));
    }
    return TR_OK;
}

struct range {
    int32_t first, last;
};

static bool is_among(const struct range *ranges, size_t count, int32_t code) {
    for (size_t i = 0; i < count; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

// The rules of SentencePiece's nmt_nfkc: control characters go, other spaces become one.
enum tr_status tr_normal_nmt(const struct tr_normal_step *step, struct tr_normal_run *run,
                             struct tr_err *err) {
    static const struct range gone[] = {{0x1, 0x8},   {0xb, 0xb},   {0xe, 0x1f},
                                        {0x7f, 0x7f}, {0x8f, 0x8f}, {0x9f, 0x9f}};
    static const struct range spaces[] = {{0x9, 0xa},       {0xc, 0xd},       {0x1680, 0x1680},
                                          {0x200b, 0x200f}, {0x2028, 0x2029}, {0x2581, 0x2581},
                                          {0xfeff, 0xfeff}, {0xfffd, 0xfffd}};
    (void)step;
    for (size_t at = 0, used; at < run->size; at += used) {
        int32_t code;
        used = tr_utf8_first(run->text + at, run->size - at, &code);
        if (is_among(gone, sizeof gone / sizeof *gone, code))
            continue;
        bool space = is_among(spaces, sizeof spaces / sizeof *spaces, code);
        TR_TRY(tr_normal_put_from(run, at + used, space ? " " : run->text + at, space ? 1 : used,
                                  err));
    }
    return TR_OK;
}

enum tr_status tr_normal_bytes(const struct tr_normal_step *step, struct tr_normal_run *run,
                               struct tr_err *err) {
    (void)step;
    for (size_t i = 0; i < run->size; i++) {
        char spelled[2];
        size_t size = tr_byte_spell((unsigned char)run->text[i], spelled);
        TR_TRY(tr_normal_put_from(run, i + 1, spelled, size, err));
    }
    return TR_OK;
}

// Puts what a cluster or a character at `at` becomes. Its characters stand for the old ones in
// turn, those beyond for the last; when nothing was put before, the first always stands for the
// first.
static enum tr_status put_unit(struct tr_normal_run *run, size_t at, size_t used, const char *text,
                               size_t size, struct tr_err *err) {
    size_t inside = run->lead > at ? run->lead - at : 0;
    size_t old = inside ? count_characters(run->text + at, inside < used ? inside : used) : 0;
    bool whole = inside >= used;
    if (!run->out->size && run->lead && !old) {
        old = 1;
        whole = count_characters(run->text + at, used) == 1;
    }
    run->lead_out += whole ? size : size_of_characters(text, size, old);
    return tr_normal_put(run, text, size, err);
}

// Puts what the map makes of `used` bytes, when it has them or something they begin with.
static enum tr_status put_mapped(const struct tr_normal_step *step, struct tr_normal_run *run,
                                 size_t at, size_t used, bool *found_p, struct tr_err *err) {
    struct tr_mapped mapped;
    TR_TRY(tr_charsmap_find(&step->charsmap, run->text + at, used, TR_SHORTEST, &mapped, err));
    *found_p = mapped.used > 0;
    return mapped.used ? put_unit(run, at, used, mapped.text, mapped.size, err) : TR_OK;
}

static enum tr_status put_characters(const struct tr_normal_step *step, struct tr_normal_run *run,
                                     size_t at, size_t end, struct tr_err *err) {
    for (size_t used; at < end; at += used) {
        bool found;
        used = tr_character_size(run->text + at, end - at);
        TR_TRY(put_mapped(step, run, at, used, &found, err));
        if (!found)
            TR_TRY(put_unit(run, at, used, run->text + at, used, err));
    }
    return TR_OK;
}

// Bytes of the extended grapheme cluster that text[0, size) begins with.
static size_t cluster_size(const char *text, size_t size) {
    int32_t code, next, state = 0;
    size_t at = tr_utf8_first(text, size, &code);
    while (at < size) {
        size_t used = tr_utf8_first(text + at, size - at, &next);
        if (utf8proc_grapheme_break_stateful(code, next, &state))
            break;
        code = next;
        at += used;
    }
    return at;
}

// As the Hugging Face library does: a short cluster becomes what its shortest prefix maps to, and
// the rest of it is lost; else each character is mapped by itself.
enum tr_status tr_normal_precompiled(const struct tr_normal_step *step, struct tr_normal_run *run,
                                     struct tr_err *err) {
    enum { SHORT = 6 };
    for (size_t at = 0, used; at < run->size; at += used) {
        bool found = false;
        used = cluster_size(run->text + at, run->size - at);
        if (used < SHORT)
            TR_TRY(put_mapped(step, run, at, used, &found, err));
        if (!found)
            TR_TRY(put_characters(step, run, at, at + used, err));
    }
    return TR_OK;
}
