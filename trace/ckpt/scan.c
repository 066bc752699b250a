// SPDX-License-Identifier: Apache-2.0
#include "scan.h"

#include <stdio.h>
#include <string.h>

#include "base/strings.h"

enum tr_status tr_scan_start(struct tr_scan *scan, const char *bytes, size_t size, const char *what,
                             struct tr_err *err) {
    if (!tr_utf8_valid(bytes, size))
        return tr_fail(err, TR_EFORMAT, "%s: the JSON is not UTF-8", what);
    *scan = (struct tr_scan){.start = bytes, .at = bytes, .end = bytes + size, .what = what};
    return TR_OK;
}

static enum tr_status unexpected(const struct tr_scan *scan, const char *expected,
                                 struct tr_err *err) {
    char found[16] = "the end";
    if (scan->at < scan->end)
        snprintf(found, sizeof found, *scan->at > ' ' ? "'%c'" : "byte 0x%02x",
                 (unsigned char)*scan->at);
    return tr_fail(err, TR_EFORMAT, "%s: malformed JSON at byte %td: expected %s, found %s",
                   scan->what, scan->at - scan->start, expected, found);
}

static void skip_space(struct tr_scan *scan) {
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\t' || *scan->at == '\r'))
        scan->at++;
}

bool tr_scan_try(struct tr_scan *scan, char c) {
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

// The literal `text` at the present byte.
static bool skip_literal(struct tr_scan *scan, const char *text) {
    size_t length = strlen(text);
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, text, length))
        return false;
    scan->at += length;
    return true;
}

bool tr_scan_try_null(struct tr_scan *scan) {
    skip_space(scan);
    return skip_literal(scan, "null");
}

enum tr_status tr_scan_expect(struct tr_scan *scan, char c, struct tr_err *err) {
    const char expected[] = {'\'', c, '\'', 0};
    return tr_scan_try(scan, c) ? TR_OK : unexpected(scan, expected, err);
}

enum tr_status tr_scan_finish(struct tr_scan *scan, struct tr_err *err) {
    skip_space(scan);
    return scan->at == scan->end ? TR_OK : unexpected(scan, "the end", err);
}

static bool read_hex4(struct tr_scan *scan, uint32_t *unit_p) {
    uint32_t unit = 0;
    if (scan->end - scan->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *digit = memchr(digits, *scan->at++, 32);
        if (!digit)
            return false;
        unit = unit * 16 + (uint32_t)(digit - digits) % 16;
    }
    *unit_p = unit;
    return true;
}

static char *put_utf8(char *out, uint32_t point) {
    if (point < 0x80) {
        *out++ = (char)point;
        return out;
    }
    int tail = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    *out++ = (char)((0xff00u >> (tail + 1)) | (point >> (6 * tail))); // 110, 1110 or 11110 first
    while (tail--)
        *out++ = (char)(0x80 | ((point >> (6 * tail)) & 0x3f));
    return out;
}

// The code point behind "\u": four digits, or two times four for a surrogate pair. Never 0.
static bool read_point(struct tr_scan *scan, uint32_t *point_p) {
    uint32_t high, low;
    if (!read_hex4(scan, &high) || !high || (high >= 0xdc00 && high < 0xe000))
        return false;
    *point_p = high;
    if (high < 0xd800 || high > 0xdbff)
        return true;
    if (scan->end - scan->at < 2 || memcmp(scan->at, "\\u", 2))
        return false;
    scan->at += 2;
    if (!read_hex4(scan, &low) || low < 0xdc00 || low > 0xdfff)
        return false;
    *point_p = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

// `scan->at` is behind the backslash.
static bool read_escape(struct tr_scan *scan, char **out_p) {
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    uint32_t point;
    if (scan->at == scan->end)
        return false;
    char letter = *scan->at++;
    const char *found = memchr(letters, letter, sizeof letters - 1);
    if (found)
        point = (unsigned char)values[found - letters];
    else if (letter != 'u' || !read_point(scan, &point))
        return false;
    *out_p = put_utf8(*out_p, point);
    return true;
}

enum tr_status tr_scan_string(struct tr_scan *scan, char *out, size_t *length_p,
                              struct tr_err *err) {
    char *to = out;
    if (!tr_scan_try(scan, '"'))
        return unexpected(scan, "a string", err);
    while (scan->at < scan->end && *scan->at != '"') {
        if ((unsigned char)*scan->at < 0x20)
            return unexpected(scan, "no control character in a string", err);
        if (*scan->at != '\\') {
            *to++ = *scan->at++;
            continue;
        }
        scan->at++;
        if (!read_escape(scan, &to))
            return unexpected(scan, "a valid escape in a string", err);
    }
    if (scan->at == scan->end)
        return unexpected(scan, "'\"'", err);
    scan->at++;
    *to = 0;
    if (length_p)
        *length_p = (size_t)(to - out);
    return TR_OK;
}

static bool is_digit(const struct tr_scan *scan) {
    return scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9';
}

enum tr_status tr_scan_u64(struct tr_scan *scan, uint64_t *value_p, struct tr_err *err) {
    skip_space(scan);
    const char *first = scan->at;
    uint64_t value = 0;
    bool fits = true;
    for (; is_digit(scan); scan->at++)
        fits = fits && !__builtin_mul_overflow(value, 10, &value) &&
               !__builtin_add_overflow(value, (uint64_t)(*scan->at - '0'), &value);
    size_t length = (size_t)(scan->at - first);
    bool tail = scan->at < scan->end && strchr(".eE", *scan->at);
    if (length && !tail && !(length > 1 && *first == '0') && fits) {
        *value_p = value;
        return TR_OK;
    }
    scan->at = first;
    return unexpected(scan, "a whole number below 2^64", err);
}

static bool skip_digits(struct tr_scan *scan) {
    bool any = is_digit(scan);
    while (is_digit(scan))
        scan->at++;
    return any;
}

static bool skip_one(struct tr_scan *scan, const char *set) {
    bool found = scan->at < scan->end && memchr(set, *scan->at, strlen(set));
    scan->at += found;
    return found;
}

static bool skip_number(struct tr_scan *scan) {
    skip_one(scan, "-");
    if (!skip_one(scan, "0") && !skip_digits(scan))
        return false;
    if (skip_one(scan, ".") && !skip_digits(scan))
        return false;
    if (!skip_one(scan, "eE"))
        return true;
    skip_one(scan, "+-");
    return skip_digits(scan);
}

// A string, number or literal.
static enum tr_status skip_scalar(struct tr_scan *scan, char *scratch, struct tr_err *err) {
    static const char *const literals[] = {"true", "false", "null", "NaN", "Infinity", "-Infinity"};
    int count = scan->python ? 6 : 3;
    skip_space(scan);
    if (scan->at < scan->end && *scan->at == '"')
        return tr_scan_string(scan, scratch, NULL, err);
    for (int i = 0; i < count; i++)
        if (skip_literal(scan, literals[i]))
            return TR_OK;
    return skip_number(scan) ? TR_OK : unexpected(scan, "a value", err);
}

static enum tr_status skip_key(struct tr_scan *scan, char *scratch, struct tr_err *err) {
    TR_TRY(tr_scan_string(scan, scratch, NULL, err));
    return tr_scan_expect(scan, ':', err);
}

enum tr_status tr_scan_skip(struct tr_scan *scan, char *scratch, struct tr_err *err) {
    uint64_t objects = 0; // bit i: whether the container i levels out is an object
    int depth = 0;
    do {
        bool object = tr_scan_try(scan, '{');
        if (object || tr_scan_try(scan, '[')) {
            if (++depth > 64)
                return unexpected(scan, "at most 64 levels of nesting", err);
            objects = objects << 1 | object;
            if (!tr_scan_try(scan, object ? '}' : ']')) {
                if (object)
                    TR_TRY(skip_key(scan, scratch, err));
                continue; // to the container's first value
            }
            depth--;
            objects >>= 1;
        } else {
            TR_TRY(skip_scalar(scan, scratch, err));
        }
        while (depth && tr_scan_try(scan, objects & 1 ? '}' : ']')) {
            depth--;
            objects >>= 1;
        }
        if (depth) {
            TR_TRY(tr_scan_expect(scan, ',', err));
            if (objects & 1)
                TR_TRY(skip_key(scan, scratch, err));
        }
    } while (depth);
    return TR_OK;
}
