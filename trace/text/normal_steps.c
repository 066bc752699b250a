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

enum tr_status tr_normal_form(const struct tr_normal_step *step, struct tr_normal_run *run,
                              struct tr_err *err) {
    if (is_ascii(run->text, run->size)) // its own form in all four
        return tr_normal_put(run, run->text, run->size, err);
    TR_TRY(tr_unicode_form(step->form, run->text, run->size, run->out, err));
    return tr_normal_put(run, "", 0, err);
}

enum tr_status tr_normal_prepend(const struct tr_normal_step *step, struct tr_normal_run *run,
                                 struct tr_err *err) {
    TR_TRY(tr_normal_put(run, step->content.data, step->content.size, err));
    return tr_normal_put(run, run->text, run->size, err);
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
        run->moved |= !step->content.size && m.start == 0 && m.end > 0;
        TR_TRY(tr_normal_put(run, run->text + done, m.start - done, err));
        TR_TRY(tr_normal_put(run, step->content.data, step->content.size, err));
        done = m.end;
    }
    return tr_normal_put(run, run->text + done, run->size - done, err);
}

enum tr_status tr_normal_strip(const struct tr_normal_step *step, struct tr_normal_run *run,
                               struct tr_err *err) {
    size_t start = step->left ? tr_spaces_at_start(run->text, run->size) : 0;
    size_t left = run->size - start;
    size_t end = step->right && left ? tr_spaces_at_end(run->text + start, left) : 0;
    run->moved |= start > 0;
    return tr_normal_put(run, run->text + start, left - end, err);
}

static enum tr_status put_code(struct tr_normal_run *run, int32_t code, struct tr_err *err) {
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t size = utf8proc_encode_char(code, bytes);
    return tr_normal_put(run, (const char *)bytes, (size_t)size, err);
}

enum tr_status tr_normal_lowercase(const struct tr_normal_step *step, struct tr_normal_run *run,
                                   struct tr_err *err) {
    (void)step;
    for (size_t at = 0; at < run->size;) {
        int32_t code;
        at += tr_utf8_first(run->text + at, run->size - at, &code);
        if (code == 0x130) // the only letter with a lower case of two
            TR_TRY(tr_normal_put(run, "i\xcc\x87", 3, err));
        else
            TR_TRY(put_code(run, utf8proc_tolower(code), err));
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
        if (is_among(gone, sizeof gone / sizeof *gone, code)) {
            run->moved |= at == 0;
            continue;
        }
        bool space = is_among(spaces, sizeof spaces / sizeof *spaces, code);
        TR_TRY(tr_normal_put(run, space ? " " : run->text + at, space ? 1 : used, err));
    }
    return TR_OK;
}

enum tr_status tr_normal_bytes(const struct tr_normal_step *step, struct tr_normal_run *run,
                               struct tr_err *err) {
    (void)step;
    for (size_t i = 0; i < run->size; i++) {
        char spelled[2];
        size_t size = tr_byte_spell((unsigned char)run->text[i], spelled);
        TR_TRY(tr_normal_put(run, spelled, size, err));
    }
    return TR_OK;
}

// Puts what the map makes of text[0, size), when it has the text or something it begins with.
static enum tr_status put_mapped(const struct tr_normal_step *step, struct tr_normal_run *run,
                                 const char *text, size_t size, bool *found_p, struct tr_err *err) {
    struct tr_mapped mapped;
    TR_TRY(tr_charsmap_find(&step->charsmap, text, size, TR_SHORTEST, &mapped, err));
    *found_p = mapped.used > 0;
    return mapped.used ? tr_normal_put(run, mapped.text, mapped.size, err) : TR_OK;
}

static enum tr_status put_characters(const struct tr_normal_step *step, struct tr_normal_run *run,
                                     const char *text, size_t size, struct tr_err *err) {
    for (size_t at = 0, used; at < size; at += used) {
        int32_t code;
        bool found;
        used = tr_utf8_first(text + at, size - at, &code);
        TR_TRY(put_mapped(step, run, text + at, used, &found, err));
        if (!found)
            TR_TRY(tr_normal_put(run, text + at, used, err));
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
            TR_TRY(put_mapped(step, run, run->text + at, used, &found, err));
        if (!found)
            TR_TRY(put_characters(step, run, run->text + at, used, err));
    }
    return TR_OK;
}
