// SPDX-License-Identifier: Apache-2.0
// Unicode normalisation: characters are decomposed by utf8proc, the marks after a base put in order
// here (utf8proc sorts by insertion, which is quadratic in their number), composed by utf8proc.
#include "unicode_form.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/alloc.h"
#include "characters.h"

static const int options_of[] = {
    [TR_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
    [TR_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
    [TR_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
    [TR_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
};

// The library normalises by the tables of Unicode 9: it leaves characters that came later as they
// are and moves no mark across them. These are the later ones (to Unicode 15) for which that makes
// a difference: marks with a combining class, and parts or results of a decomposition. U+11A7, no
// jamo that composes, is among them because utf8proc before 2.10 loses it after a syllable.
static const int32_t later[][2] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
    {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x11a7, 0x11a7},
    {0x1715, 0x1715},   {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0x32ff, 0x32ff},
    {0xa7f2, 0xa7f4},   {0xa82c, 0xa82c},   {0xab69, 0xab69},   {0x10781, 0x10785},
    {0x10787, 0x107b0}, {0x107b2, 0x107ba}, {0x10d24, 0x10d27}, {0x10eab, 0x10eac},
    {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85}, {0x11070, 0x11070},
    {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a}, {0x11930, 0x11930},
    {0x11938, 0x11938}, {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0},
    {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42},
    {0x11d44, 0x11d45}, {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1},
    {0x1e030, 0x1e06d}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae},
    {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}, {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9}};

static bool came_later(int32_t code) {
    size_t low = 0, high = sizeof later / sizeof *later;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (later[middle][1] < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sizeof later / sizeof *later && later[low][0] <= code;
}

// Bytes of text[0, size) before the first character that came later, and those of the character.
static size_t find_later(const char *text, size_t size, size_t *later_size_p) {
    size_t at = 0;
    *later_size_p = 0;
    while (at < size) {
        int32_t code;
        size_t used = tr_utf8_first(text + at, size - at, &code);
        if (came_later(code)) {
            *later_size_p = used;
            break;
        }
        at += used;
    }
    return at;
}

// Code points being normalised. `marks` is room for one run of marks.
struct points {
    utf8proc_int32_t *codes;
    uint64_t count, capacity;
    struct mark *marks;
    uint64_t mark_capacity;
};

struct mark {
    utf8proc_int32_t code;
    int combining_class;
    uint64_t position;
};

static enum tr_status decompose(struct points *points, int options, const char *text, size_t size,
                                struct tr_err *err) {
    enum { LONGEST = 32 }; // code points that one decomposes to; U+FDFA has 18
    for (size_t at = 0; at < size;) {
        int32_t code;
        int last_class = 0;
        at += tr_utf8_first(text + at, size - at, &code);
        TR_TRY(tr_grow((void **)&points->codes, &points->capacity, points->count + LONGEST + 1,
                       sizeof *points->codes, "normalised text", err));
        utf8proc_ssize_t used = utf8proc_decompose_char(
            code, points->codes + points->count, LONGEST, (utf8proc_option_t)options, &last_class);
        if (used < 0 || used > LONGEST)
            return tr_fail(err, TR_EUNSUPPORTED, "normalising U+%04X failed: %s", (unsigned)code,
                           utf8proc_errmsg(used));
        points->count += (uint64_t)used;
    }
    return TR_OK;
}

static int class_of(utf8proc_int32_t code) {
    return utf8proc_get_property(code)->combining_class;
}

static int compare_marks(const void *a, const void *b) {
    const struct mark *x = a, *y = b;
    int order =
        (x->combining_class > y->combining_class) - (x->combining_class < y->combining_class);
    return order ? order : (x->position > y->position) - (x->position < y->position);
}

// Sorts codes[0, count), all marks, by their class; equal ones keep their order.
static enum tr_status order_run(struct points *points, utf8proc_int32_t *codes, uint64_t count,
                                struct tr_err *err) {
    TR_TRY(tr_grow((void **)&points->marks, &points->mark_capacity, count, sizeof *points->marks,
                   "combining marks", err));
    for (uint64_t i = 0; i < count; i++)
        points->marks[i] = (struct mark){codes[i], class_of(codes[i]), i};
    qsort(points->marks, count, sizeof *points->marks, compare_marks);
    for (uint64_t i = 0; i < count; i++)
        codes[i] = points->marks[i].code;
    return TR_OK;
}

static enum tr_status order_marks(struct points *points, struct tr_err *err) {
    for (uint64_t i = 0, end; i < points->count; i = end) {
        for (end = i; end < points->count && class_of(points->codes[end]);)
            end++;
        if (end - i > 1)
            TR_TRY(order_run(points, points->codes + i, end - i, err));
        if (end == i)
            end++;
    }
    return TR_OK;
}

static enum tr_status form_of(struct points *points, int options, const char *text, size_t size,
                              struct tr_string *out, struct tr_err *err) {
    TR_TRY(decompose(points, options, text, size, err));
    TR_TRY(order_marks(points, err));
    // The text is written over the code points, which are never shorter.
    utf8proc_ssize_t used = utf8proc_reencode(points->codes, (utf8proc_ssize_t)points->count,
                                              (utf8proc_option_t)options);
    if (used < 0)
        return tr_fail(err, TR_EUNSUPPORTED, "normalising %zu bytes of text failed: %s", size,
                       utf8proc_errmsg(used));
    return tr_string_append(out, points->codes, (size_t)used, err);
}

// Appends the form of text[0, size), which has no character that came later.
static enum tr_status append_form(int options, const char *text, size_t size, struct tr_string *out,
                                  struct tr_err *err) {
    struct points points = {0};
    if (!size)
        return TR_OK;
    enum tr_status status = form_of(&points, options, text, size, out, err);
    free(points.codes);
    free(points.marks);
    return status;
}

enum tr_status tr_unicode_form(enum tr_unicode_form form, const char *text, size_t size,
                               struct tr_string *out, struct tr_err *err) {
    while (size) {
        size_t skipped, known = find_later(text, size, &skipped);
        TR_TRY(append_form(options_of[form], text, known, out, err));
        TR_TRY(tr_string_append(out, text + known, skipped, err));
        text += known + skipped;
        size -= known + skipped;
    }
    return TR_OK;
}
