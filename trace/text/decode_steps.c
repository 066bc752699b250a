// SPDX-License-Identifier: Apache-2.0
// The steps of a decoder, as Hugging Face's tokenizers take them. Bytes that are no UTF-8 become
// U+FFFD, one for each longest beginning of a character.
#include "decode_steps.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "byte_level.h"
#include "characters.h"

static const char replacement[] = "\xef\xbf\xbd";

enum tr_status tr_pieces_of_text_add(struct tr_pieces_of_text *pieces, const char *text,
                                     size_t size, struct tr_err *err) {
    TR_TRY(tr_string_append(&pieces->text, text, size, err));
    TR_TRY(tr_grow((void **)&pieces->ends, &pieces->capacity, pieces->count + 1,
                   sizeof *pieces->ends, "tokens", err));
    pieces->ends[pieces->count++] = pieces->text.size;
    return TR_OK;
}

void tr_pieces_of_text_free(struct tr_pieces_of_text *pieces) {
    tr_string_free(&pieces->text);
    free(pieces->ends);
    *pieces = (struct tr_pieces_of_text){0};
}

struct piece {
    const char *text;
    size_t size;
};

static struct piece piece_at(const struct tr_pieces_of_text *pieces, uint64_t i) {
    size_t begin = i ? pieces->ends[i - 1] : 0;
    return (struct piece){pieces->text.data + begin, pieces->ends[i] - begin};
}

// Appends to the piece that is being made.
static enum tr_status put(struct tr_pieces_of_text *to, const char *text, size_t size,
                          struct tr_err *err) {
    return tr_string_append(&to->text, text, size, err);
}

static enum tr_status end_piece(struct tr_pieces_of_text *to, struct tr_err *err) {
    return tr_pieces_of_text_add(to, "", 0, err);
}

// ---- bytes -------------------------------------------------------------------------------------

// Bytes of the character that begins here as far as it is well-formed, all of it or not.
static size_t beginning(const unsigned char *s, size_t size, bool *whole_p) {
    unsigned low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4, at = 1;
    *whole_p = s[0] < 0x80;
    if (s[0] < 0x80 || s[0] < 0xc2 || s[0] > 0xf4)
        return 1;
    while (at < length && at < size && s[at] >= (at == 1 ? low : 0x80) &&
           s[at] <= (at == 1 ? high : 0xbf))
        at++;
    *whole_p = at == length;
    return at;
}

static enum tr_status put_bytes(struct tr_pieces_of_text *to, const char *bytes, size_t size,
                                struct tr_err *err) {
    for (size_t at = 0, length; at < size; at += length) {
        bool whole;
        length = beginning((const unsigned char *)bytes + at, size - at, &whole);
        TR_TRY(whole ? put(to, bytes + at, length, err)
                     : put(to, replacement, sizeof replacement - 1, err));
    }
    return TR_OK;
}

// The byte that a character stands for, -1: none.
static int byte_of(const char *text, size_t size) {
    for (int byte = 0; byte < 256; byte++) {
        char spelled[2];
        if (tr_byte_spell((unsigned char)byte, spelled) == size && !memcmp(spelled, text, size))
            return byte;
    }
    return -1;
}

// A token with a character that stands for no byte is bytes itself.
static enum tr_status spell_back(struct tr_string *bytes, struct piece p, struct tr_err *err) {
    size_t before = bytes->size;
    for (size_t at = 0, size; at < p.size; at += size) {
        size = tr_character_size(p.text + at, p.size - at);
        int byte = byte_of(p.text + at, size);
        if (byte < 0) {
            bytes->size = before;
            return tr_string_append(bytes, p.text, p.size, err);
        }
        TR_TRY(tr_string_append(bytes, &(char){(char)byte}, 1, err));
    }
    return TR_OK;
}

static enum tr_status run_bytes(const struct tr_decode_step *step,
                                const struct tr_pieces_of_text *from, struct tr_pieces_of_text *to,
                                struct tr_err *err) {
    struct tr_string bytes = {0};
    enum tr_status status = TR_OK;
    for (uint64_t i = 0; i < from->count && status == TR_OK; i++) {
        struct piece p = piece_at(from, i);
        status = step->kind == TR_DECODE_BYTES ? tr_string_append(&bytes, p.text, p.size, err)
                                               : spell_back(&bytes, p, err);
    }
    if (status == TR_OK)
        status = put_bytes(to, bytes.data, bytes.size, err);
    tr_string_free(&bytes);
    return status == TR_OK ? end_piece(to, err) : status;
}

// <0xHH>, -1: it is not.
static int fallback_byte(struct piece p) {
    static const char digits[] = "0123456789ABCDEFabcdef";
    if (p.size != 6 || memcmp(p.text, "<0x", 3) || p.text[5] != '>' || !strchr(digits, p.text[3]) ||
        !strchr(digits, p.text[4]))
        return -1;
    return (int)strtol((char[]){p.text[3], p.text[4], '\0'}, NULL, 16);
}

// Bytes in a row are characters together, or none of them is.
static enum tr_status flush_bytes(struct tr_pieces_of_text *to, struct tr_string *bytes,
                                  struct tr_err *err) {
    bool valid = tr_utf8_valid(bytes->data, bytes->size);
    if (valid)
        TR_TRY(put(to, bytes->data, bytes->size, err));
    for (size_t i = 0; i < bytes->size && !valid; i++)
        TR_TRY(put(to, replacement, sizeof replacement - 1, err));
    if (bytes->size)
        TR_TRY(end_piece(to, err));
    bytes->size = 0;
    return TR_OK;
}

static enum tr_status fall_back(struct tr_pieces_of_text *to, struct tr_string *bytes,
                                struct piece p, struct tr_err *err) {
    int byte = fallback_byte(p);
    if (byte >= 0)
        return tr_string_append(bytes, &(char){(char)byte}, 1, err);
    TR_TRY(flush_bytes(to, bytes, err));
    return tr_pieces_of_text_add(to, p.text, p.size, err);
}

static enum tr_status run_byte_fallback(const struct tr_decode_step *step,
                                        const struct tr_pieces_of_text *from,
                                        struct tr_pieces_of_text *to, struct tr_err *err) {
    struct tr_string bytes = {0};
    enum tr_status status = TR_OK;
    (void)step;
    for (uint64_t i = 0; i < from->count && status == TR_OK; i++)
        status = fall_back(to, &bytes, piece_at(from, i), err);
    if (status == TR_OK)
        status = flush_bytes(to, &bytes, err);
    tr_string_free(&bytes);
    return status;
}

// ---- characters --------------------------------------------------------------------------------

static bool starts_with(struct piece p, const char *text) {
    size_t size = strlen(text);
    return size && p.size >= size && !memcmp(p.text, text, size);
}

static enum tr_status replace(const struct tr_decode_step *step, struct piece p, const char *by,
                              struct tr_pieces_of_text *to, struct tr_err *err) {
    for (size_t at = 0; at < p.size;) {
        bool found = starts_with((struct piece){p.text + at, p.size - at}, step->from);
        TR_TRY(found ? put(to, by, strlen(by), err) : put(to, p.text + at, 1, err));
        at += found ? strlen(step->from) : 1;
    }
    return end_piece(to, err);
}

static enum tr_status run_replace(const struct tr_decode_step *step,
                                  const struct tr_pieces_of_text *from,
                                  struct tr_pieces_of_text *to, struct tr_err *err) {
    for (uint64_t i = 0; i < from->count; i++)
        TR_TRY(replace(step, piece_at(from, i), i == 0 && step->begins ? "" : step->to, to, err));
    return TR_OK;
}

static enum tr_status run_fuse(const struct tr_decode_step *step,
                               const struct tr_pieces_of_text *from, struct tr_pieces_of_text *to,
                               struct tr_err *err) {
    (void)step;
    return tr_pieces_of_text_add(to, from->text.data, from->text.size, err);
}

static enum tr_status run_strip(const struct tr_decode_step *step,
                                const struct tr_pieces_of_text *from, struct tr_pieces_of_text *to,
                                struct tr_err *err) {
    size_t size = strlen(step->from);
    for (uint64_t i = 0; i < from->count; i++) {
        struct piece p = piece_at(from, i);
        for (int64_t n = 0; n < step->start && starts_with(p, step->from); n++)
            p = (struct piece){p.text + size, p.size - size};
        for (int64_t n = 0; n < step->stop && size && p.size >= size &&
                            !memcmp(p.text + p.size - size, step->from, size);
             n++)
            p.size -= size;
        TR_TRY(tr_pieces_of_text_add(to, p.text, p.size, err));
    }
    return TR_OK;
}

static enum tr_status run_words(const struct tr_decode_step *step,
                                const struct tr_pieces_of_text *from, struct tr_pieces_of_text *to,
                                struct tr_err *err) {
    (void)step;
    for (uint64_t i = 0; i < from->count; i++) {
        struct piece p = piece_at(from, i);
        if (i)
            TR_TRY(put(to, " ", 1, err));
        TR_TRY(tr_pieces_of_text_add(to, p.text, p.size, err));
    }
    return TR_OK;
}

enum tr_status tr_decode_steps_run(const struct tr_decode_steps *steps,
                                   struct tr_pieces_of_text *pieces, struct tr_err *err) {
    static enum tr_status (*const run[])(const struct tr_decode_step *,
                                         const struct tr_pieces_of_text *,
                                         struct tr_pieces_of_text *, struct tr_err *) = {
        [TR_DECODE_BYTE_LEVEL] = run_bytes,  [TR_DECODE_BYTES] = run_bytes,
        [TR_DECODE_REPLACE] = run_replace,   [TR_DECODE_BYTE_FALLBACK] = run_byte_fallback,
        [TR_DECODE_FUSE] = run_fuse,         [TR_DECODE_STRIP] = run_strip,
        [TR_DECODE_METASPACE] = run_replace, [TR_DECODE_WORDS] = run_words};
    for (uint64_t i = 0; i < steps->count; i++) {
        struct tr_pieces_of_text made = {0};
        enum tr_status status = run[steps->steps[i].kind](&steps->steps[i], pieces, &made, err);
        tr_pieces_of_text_free(pieces);
        *pieces = made;
        TR_TRY(status);
    }
    return TR_OK;
}
