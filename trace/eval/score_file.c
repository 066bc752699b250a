// SPDX-License-Identifier: Apache-2.0
#include "score_file.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"

enum tr_status tr_file_name_of(char **file_name_p, const char *name, struct tr_err *err) {
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    enum { LONGEST = 120, DIGITS = 8 };
    struct tr_string text = {0};
    char digest[TR_DIGEST_MAX];
    size_t size = strlen(name);
    bool is_fine = strspn(name, fine) == size && size && size <= LONGEST && *name != '.';
    TR_TRY(tr_string_append(&text, name, size < LONGEST ? size : LONGEST, err));
    for (size_t i = 0; i < text.size; i++)
        if (!strchr(fine, text.data[i]) || (i == 0 && *name == '.'))
            text.data[i] = '_';
    tr_digest_bytes(name, size, digest);
    if (!is_fine) {
        enum tr_status status = tr_string_format(&text, err, "-%.*s", DIGITS, digest);
        if (status != TR_OK) {
            tr_string_free(&text);
            return status;
        }
    }
    *file_name_p = text.data;
    return TR_OK;
}

// ---- saving ------------------------------------------------------------------------------------

static json_t *sets_json(const struct tr_named_sets *sets, struct tr_err *err) {
    json_t *list = json_pack("[s]", "");
    for (int64_t i = 0; i < sets->count && list; i++) {
        struct tr_string text = {0};
        if (tr_string_append(&text, "", 0, err) != TR_OK ||
            tr_drop_set_text(&sets->sets[i].drop, &text, err) != TR_OK ||
            json_array_append_new(list, json_string(text.data))) {
            json_decref(list);
            list = NULL;
        }
        tr_string_free(&text);
    }
    return list;
}

static json_t *number(const struct tr_likelihood *likelihood) {
    return isnan(likelihood->sum) ? json_null() : json_real(likelihood->sum);
}

static json_t *truth(const struct tr_likelihood *likelihood) {
    return json_boolean(likelihood->greedy);
}

static json_t *table(const struct tr_likelihood *likelihoods, int64_t rows, int64_t columns,
                     json_t *(*cell)(const struct tr_likelihood *)) {
    json_t *list = json_array();
    for (int64_t r = 0; r < rows; r++) {
        json_t *row = json_array();
        for (int64_t c = 0; c < columns; c++)
            json_array_append_new(row, cell(&likelihoods[r * columns + c]));
        json_array_append_new(list, row);
    }
    return list;
}

enum tr_status tr_scores_save(const char *path, const char *identity,
                              const struct tr_named_sets *sets, int64_t requests,
                              const struct tr_likelihood *likelihoods, struct tr_err *err) {
    int64_t candidates = 1 + sets->count;
    json_t *value =
        json_pack("{s:s, s:o, s:o, s:o}", "identity", identity, "drop_sets", sets_json(sets, err),
                  "likelihoods", table(likelihoods, candidates, requests, number), "greedy",
                  table(likelihoods, candidates, requests, truth));
    return tr_json_save(value, JSON_INDENT(1), path, err);
}

// ---- loading -----------------------------------------------------------------------------------

struct shape {
    int64_t candidates, numbers;
    bool is_part; // null: not known
};

// Whether the value holds the numbers; what it holds goes into `likelihoods`.
static bool take(const json_t *value, const struct shape *shape,
                 struct tr_likelihood *likelihoods) {
    const json_t *sums = json_object_get(value, "likelihoods");
    const json_t *greedy = json_object_get(value, "greedy");
    int64_t candidates = shape->candidates, numbers = shape->numbers;
    if (json_array_size(sums) != (size_t)candidates ||
        json_array_size(greedy) != (size_t)candidates)
        return false;
    for (int64_t c = 0; c < candidates; c++) {
        const json_t *row = json_array_get(sums, (size_t)c);
        const json_t *flags = json_array_get(greedy, (size_t)c);
        if (json_array_size(row) != (size_t)numbers || json_array_size(flags) != (size_t)numbers)
            return false;
        for (int64_t r = 0; r < numbers; r++) {
            const json_t *sum = json_array_get(row, (size_t)r);
            const json_t *flag = json_array_get(flags, (size_t)r);
            if (shape->is_part && json_is_null(sum))
                continue;
            if (!json_is_number(sum) || !json_is_boolean(flag))
                return false;
            likelihoods[c * numbers + r] =
                (struct tr_likelihood){json_number_value(sum), json_is_true(flag)};
        }
    }
    return true;
}

static enum tr_status load(const char *path, const char *identity, const struct shape *shape,
                           struct tr_likelihood *likelihoods, bool *found_p, struct tr_err *err) {
    static const uint64_t limit = UINT64_C(4) << 30;
    json_t *value;
    *found_p = false;
    if (!tr_file_exists(path))
        return TR_OK;
    enum tr_status status = tr_json_load(&value, path, limit, err);
    if (status != TR_OK)
        return status == TR_EFORMAT ? TR_OK : status;
    const char *written = json_string_value(json_object_get(value, "identity"));
    *found_p = written && strcmp(written, identity) == 0 && take(value, shape, likelihoods);
    json_decref(value);
    return TR_OK;
}

enum tr_status tr_scores_load(const char *path, const char *identity,
                              const struct tr_named_sets *sets, int64_t requests,
                              struct tr_likelihood *likelihoods, bool *found_p,
                              struct tr_err *err) {
    struct shape shape = {1 + sets->count, requests, false};
    return load(path, identity, &shape, likelihoods, found_p, err);
}

enum tr_status tr_part_load(const char *path, const char *identity,
                            const struct tr_named_sets *sets, int64_t prompts,
                            struct tr_likelihood *likelihoods, bool *found_p, struct tr_err *err) {
    struct shape shape = {1 + sets->count, prompts, true};
    return load(path, identity, &shape, likelihoods, found_p, err);
}
