// SPDX-License-Identifier: Apache-2.0
#include "row_digest.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/strings.h"

enum { DIGITS = 16 };
static const char row_key[] = "row:";
enum { ROW_LENGTH = sizeof row_key - 1 + DIGITS }; // of "row:<digest>"

// ---- what describes the checkpoint -----------------------------------------------------------

static enum tr_status digest_scalars(char digits[TR_DIGEST_MAX], const struct tr_row *row,
                                     const char *rest, struct tr_err *err) {
    struct tr_digest *digest;
    TR_TRY(tr_digest_new(&digest, err));
    for (enum tr_variable_id id = 0; id <= TR_V_ERROR; id++) {
        enum tr_value_type type = tr_variables[id].type;
        if (type == TR_VALUE_STRING)
            tr_digest_update(digest, tr_row_string(row, id), strlen(tr_row_string(row, id)) + 1);
        else
            tr_digest_update(digest, row->data[id], tr_value_size(type));
    }
    tr_digest_update(digest, rest, strlen(rest));
    tr_digest_text(digest, digits);
    tr_digest_free(digest);
    return TR_OK;
}

enum tr_status tr_row_digest_scalars(bool *fits_p, const char *text, const struct tr_row *row,
                                     struct tr_err *err) {
    char digits[TR_DIGEST_MAX];
    *fits_p = false;
    if (strlen(text) < ROW_LENGTH || strncmp(text, row_key, sizeof row_key - 1))
        return TR_OK;
    TR_TRY(digest_scalars(digits, row, text + ROW_LENGTH, err));
    *fits_p = !memcmp(digits, text + sizeof row_key - 1, DIGITS);
    return TR_OK;
}

// ---- values ----------------------------------------------------------------------------------

static void digest_values(char digits[TR_DIGEST_MAX], enum tr_variable_id id, const void *values,
                          const struct tr_layout *layout) {
    tr_digest_bytes(values,
                    (size_t)tr_variable_elements(id, layout) * tr_value_size(tr_variables[id].type),
                    digits);
}

static enum tr_status append_values(struct tr_string *text, const struct tr_row *row,
                                    const struct tr_layout *layout, struct tr_err *err) {
    char digits[TR_DIGEST_MAX];
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        if (!row->data[id] || tr_variable_rank(id) == 1)
            continue;
        digest_values(digits, id, row->data[id], layout);
        TR_TRY(tr_string_format(text, err, " %s:%.*s", tr_variables[id].name, DIGITS, digits));
    }
    return TR_OK;
}

// The digits behind a variable's name; NULL when the text has none.
static const char *digits_of(const char *text, const char *name, size_t length) {
    for (const char *at = strchr(text, ' '); at; at = strchr(at + 1, ' '))
        if (!strncmp(at + 1, name, length) && at[1 + length] == ':')
            return at + 1 + length + 1;
    return NULL;
}

bool tr_row_digest_has(const char *text, enum tr_variable_id id) {
    const char *name = tr_variables[id].name;
    return digits_of(text, name, strlen(name)) != NULL;
}

bool tr_row_digest_values(const char *text, enum tr_variable_id id, const void *values,
                          const struct tr_layout *layout) {
    const char *name = tr_variables[id].name;
    const char *there = digits_of(text, name, strlen(name));
    char digits[TR_DIGEST_MAX];
    if (!there)
        return true;
    digest_values(digits, id, values, layout);
    return !strncmp(there, digits, DIGITS);
}

const char *tr_row_digest_difference(const char *a, const char *b, size_t *length_p) {
    for (const char *at = strchr(a, ' '); at; at = strchr(at + 1, ' ')) {
        size_t length = strcspn(at + 1, ":");
        const char *there = digits_of(b, at + 1, length);
        *length_p = length;
        if (there && at[1 + length] && strncmp(there, at + 1 + length + 1, DIGITS))
            return at + 1;
    }
    return NULL;
}

int tr_row_digest_count(const char *text) {
    int count = 0;
    for (const char *at = strchr(text, ' '); at; at = strchr(at + 1, ' '))
        count++;
    return count;
}

enum tr_status tr_row_digest(char **text_p, const struct tr_row *row,
                             const struct tr_layout *layout, struct tr_err *err) {
    struct tr_string values = {0}, text = {0};
    char digits[TR_DIGEST_MAX];
    enum tr_status status = tr_string_append(&values, "", 0, err);
    if (status == TR_OK)
        status = append_values(&values, row, layout, err);
    if (status == TR_OK)
        status = digest_scalars(digits, row, values.data, err);
    if (status == TR_OK)
        status = tr_string_format(&text, err, "%s%.*s%s", row_key, DIGITS, digits, values.data);
    tr_string_free(&values);
    if (status == TR_OK)
        *text_p = text.data;
    else
        tr_string_free(&text);
    return status;
}
