// SPDX-License-Identifier: Apache-2.0
#include "base/strings.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

bool tr_parse_i64(const char *text, int64_t low, int64_t high, int64_t *value_p) {
    char *end;
    if (!isdigit((unsigned char)text[0]) && !(text[0] == '-' && isdigit((unsigned char)text[1])))
        return false;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end || value < low || value > high)
        return false;
    *value_p = value;
    return true;
}

bool tr_parse_f64(const char *text, double low, double high, double *value_p) {
    char *end;
    if (!isdigit((unsigned char)text[0]) && !strchr("-.", text[0]))
        return false;
    errno = 0;
    double value = strtod(text, &end);
    if (errno || end == text || *end || !(value >= low && value <= high))
        return false;
    *value_p = value;
    return true;
}

bool tr_parse_bytes(const char *text, uint64_t *bytes_p) {
    static const char units[] = "KMGT";
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    double value = strtod(text, &end);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (unit) {
        value = ldexp(value, 10 * (int)(unit - units + 1));
        end++;
        if (*end == 'i')
            end++;
    }
    if (*end == 'B')
        end++;
    if (errno || *end || !(value < 0x1p62))
        return false;
    *bytes_p = (uint64_t)value;
    return true;
}

// Three significant digits and the largest prefix that leaves a number of at least 1.
static char *human(double value, const char *unit, char out[TR_HUMAN_MAX]) {
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P", "E"};
    int prefix = 0;
    while (fabs(value) >= 999.5 && prefix < 6) {
        value /= 1000;
        prefix++;
    }
    int decimals = prefix == 0 && value == floor(value) ? 0
                   : fabs(value) < 10                   ? 2
                   : fabs(value) < 100                  ? 1
                                                        : 0;
    bool bare = !*unit && !prefix;
    snprintf(out, TR_HUMAN_MAX, "%.*f%s%s%s", decimals, value, bare ? "" : " ", prefixes[prefix],
             unit);
    return out;
}

char *tr_human_bytes(double bytes, char out[TR_HUMAN_MAX]) {
    return human(bytes, "B", out);
}

char *tr_human_unit(double value, const char *unit, char out[TR_HUMAN_MAX]) {
    return human(value, unit, out);
}

char *tr_human_count(double count, char out[TR_HUMAN_MAX]) {
    return human(count, "", out);
}

char *tr_human_seconds(double seconds, char out[TR_HUMAN_MAX]) {
    if (!(seconds < 1e9))
        snprintf(out, TR_HUMAN_MAX, "unknown");
    else if (seconds < 10)
        snprintf(out, TR_HUMAN_MAX, "%.1f s", seconds);
    else if (seconds < 100)
        snprintf(out, TR_HUMAN_MAX, "%.0f s", seconds);
    else if (seconds < 5940)
        snprintf(out, TR_HUMAN_MAX, "%.0f min", seconds / 60);
    else
        snprintf(out, TR_HUMAN_MAX, "%d h %02d min", (int)(seconds / 3600),
                 (int)(seconds / 60) % 60);
    return out;
}

// Compares the runs of digits at *a and *b as numbers of any length and moves past them.
static int compare_digits(const char **a, const char **b) {
    while (**a == '0')
        (*a)++;
    while (**b == '0')
        (*b)++;
    size_t na = strspn(*a, "0123456789"), nb = strspn(*b, "0123456789");
    int order = na != nb ? (na < nb ? -1 : 1) : strncmp(*a, *b, na);
    *a += na;
    *b += nb;
    return order;
}

int tr_natural_compare(const char *a, const char *b) {
    const char *a0 = a, *b0 = b;
    while (*a && *b) {
        int order;
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            order = compare_digits(&a, &b);
        } else {
            order = (unsigned char)*a - (unsigned char)*b;
            a++;
            b++;
        }
        if (order)
            return order;
    }
    if (*a || *b)
        return *a ? 1 : -1;
    return strcmp(a0, b0); // "07" and "7" are still different names
}

enum tr_status tr_path_name(char **name_p, const char *path, struct tr_err *err) {
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    char *name;
    TR_TRY(TR_NEW(&name, end - start + 1, "a file name", err));
    memcpy(name, path + start, end - start);
    *name_p = name;
    return TR_OK;
}

enum tr_status tr_path_join(char **path_p, const char *folder, const char *name,
                            struct tr_err *err) {
    size_t length = strlen(folder) + strlen(name) + 2;
    char *path;
    TR_TRY(TR_NEW(&path, length, "a path", err));
    bool slash = *folder && folder[strlen(folder) - 1] == '/';
    snprintf(path, length, "%s%s%s", folder, slash ? "" : "/", name);
    *path_p = path;
    return TR_OK;
}

bool tr_utf8_valid(const void *bytes, size_t size) {
    const unsigned char *p = bytes, *end = p + size;
    while (p < end) {
        if (*p < 0x80) {
            p++;
            continue;
        }
        int tail = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
        if (*p < 0xc2 || *p > 0xf4 || end - p <= tail)
            return false;
        unsigned char low = *p == 0xe0 ? 0xa0 : *p == 0xf0 ? 0x90 : 0x80;
        unsigned char high = *p == 0xed ? 0x9f : *p == 0xf4 ? 0x8f : 0xbf;
        if (p[1] < low || p[1] > high)
            return false;
        for (int i = 2; i <= tail; i++)
            if ((p[i] & 0xc0) != 0x80)
                return false;
        p += tail + 1;
    }
    return true;
}

enum tr_status tr_string_append(struct tr_string *string, const void *bytes, size_t size,
                                struct tr_err *err) {
    TR_TRY(tr_grow((void **)&string->data, &string->capacity, string->size + size + 1, 1,
                   "a string", err));
    if (size)
        memcpy(string->data + string->size, bytes, size);
    string->size += size;
    string->data[string->size] = 0;
    return TR_OK;
}

enum tr_status tr_string_format(struct tr_string *string, struct tr_err *err, const char *format,
                                ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    enum tr_status status = tr_grow((void **)&string->data, &string->capacity,
                                    string->size + (size_t)size + 1, 1, "a string", err);
    if (status == TR_OK) {
        vsnprintf(string->data + string->size, (size_t)size + 1, format, again);
        string->size += (size_t)size;
    }
    va_end(again);
    return status;
}

void tr_string_free(struct tr_string *string) {
    free(string->data);
    *string = (struct tr_string){0};
}
