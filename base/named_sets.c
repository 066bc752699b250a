// SPDX-License-Identifier: Apache-2.0
#include "base/named_sets.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

enum { LARGEST = 1 << 24, LONGEST_NAME = 64 };
static const char blank[] = " \t\r";

void tr_named_sets_free(struct tr_named_sets *sets) {
    for (int64_t i = 0; i < sets->count; i++) {
        free(sets->sets[i].name);
        tr_drop_set_free(&sets->sets[i].drop);
    }
    free(sets->sets);
    *sets = (struct tr_named_sets){0};
}

// A line of a file of sets, for messages.
struct place {
    const char *path;
    int64_t line;
};

static enum tr_status refuse(const struct place *place, const char *what, struct tr_err *err) {
    return tr_fail(err, TR_EUSAGE, "%s, line %lld: %s", place->path, (long long)place->line, what);
}

static bool is_known(const struct tr_named_sets *sets, const char *name) {
    for (int64_t i = 0; i < sets->count; i++)
        if (!strcmp(sets->sets[i].name, name))
            return true;
    return false;
}

// Spaces at both ends of a word go.
static char *trimmed(char *word) {
    word += strspn(word, blank);
    size_t size = strlen(word);
    while (size && strchr(blank, word[size - 1]))
        word[--size] = 0;
    return word;
}

static enum tr_status add(struct tr_named_sets *sets, const char *name, const char *text,
                          const struct place *place, struct tr_err *err) {
    struct tr_err why;
    if (!*name || strlen(name) > LONGEST_NAME)
        return refuse(place, "a name has 1 to 64 bytes and ends at the first colon", err);
    if (is_known(sets, name))
        return refuse(place, "two sets have this name", err);
    TR_TRY(tr_grow((void **)&sets->sets, &sets->capacity, (uint64_t)sets->count + 1,
                   sizeof *sets->sets, "drop sets", err));
    struct tr_named_set made = {0};
    TR_TRY(tr_strdup(&made.name, name, err));
    sets->sets[sets->count++] = made;
    if (tr_drop_set_read(&sets->sets[sets->count - 1].drop, text, &why) != TR_OK)
        return refuse(place, why.text, err);
    return TR_OK;
}

static enum tr_status add_line(struct tr_named_sets *sets, char *line, const struct place *place,
                               struct tr_err *err) {
    line = trimmed(line);
    if (!*line || *line == '#')
        return TR_OK;
    char *colon = strchr(line, ':');
    if (!colon)
        return refuse(place, "a set is \"NAME: SET\", as in \"lowest: attn:7,6 mlp:3\"", err);
    *colon = 0;
    return add(sets, trimmed(line), trimmed(colon + 1), place, err);
}

static enum tr_status add_lines(struct tr_named_sets *sets, char *text, const char *path,
                                struct tr_err *err) {
    struct place place = {.path = path};
    for (char *line = text; line; place.line++) {
        char *end = strchr(line, '\n');
        if (end)
            *end = 0;
        struct place here = {path, place.line + 1};
        TR_TRY(add_line(sets, line, &here, err));
        line = end ? end + 1 : NULL;
    }
    return sets->count ? TR_OK : tr_fail(err, TR_EUSAGE, "%s has no drop sets", path);
}

enum tr_status tr_named_sets_parse(struct tr_named_sets *sets, const char *text, const char *path,
                                   struct tr_err *err) {
    struct tr_named_sets made = {0};
    char *copy;
    TR_TRY(tr_strdup(&copy, text, err));
    enum tr_status status = add_lines(&made, copy, path, err);
    free(copy);
    if (status == TR_OK)
        *sets = made;
    else
        tr_named_sets_free(&made);
    return status;
}

enum tr_status tr_named_sets_read(struct tr_named_sets *sets, const char *path,
                                  struct tr_err *err) {
    char *bytes;
    size_t size;
    TR_TRY(tr_file_load(path, LARGEST, &bytes, &size, err));
    enum tr_status status = TR_OK;
    if (strlen(bytes) != size)
        status = tr_fail(err, TR_EUSAGE, "%s is no text: it has a zero byte", path);
    if (status == TR_OK)
        status = tr_named_sets_parse(sets, bytes, path, err);
    free(bytes);
    return status;
}

enum tr_status tr_named_sets_text(const struct tr_named_sets *sets, struct tr_string *text,
                                  struct tr_err *err) {
    for (int64_t i = 0; i < sets->count; i++) {
        TR_TRY(tr_string_format(text, err, "%s: ", sets->sets[i].name));
        TR_TRY(tr_drop_set_text(&sets->sets[i].drop, text, err));
        TR_TRY(tr_string_format(text, err, "\n"));
    }
    return TR_OK;
}
