// SPDX-License-Identifier: Apache-2.0
#include "card.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "form.h"

enum { LARGEST_PLAN = 1 << 24 };

// ---- how the set was chosen --------------------------------------------------------------------

static enum tr_status add_value(struct tr_string *card, const char *key, const json_t *value,
                                struct tr_err *err) {
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    if (!text)
        return tr_fail(err, TR_ENOMEM, "out of memory for the card");
    enum tr_status status = tr_string_format(
        card, err, "- %s: %s\n", key, json_is_string(value) ? json_string_value(value) : text);
    free(text);
    return status;
}

// Members that hold one value each; those of objects behind the object's name.
static enum tr_status add_values(struct tr_string *card, const char *outer, const json_t *object,
                                 struct tr_err *err) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        struct tr_string name = {0};
        enum tr_status status =
            tr_string_format(&name, err, "%s%s%s", outer, *outer ? " " : "", key);
        if (status == TR_OK && json_is_object(value))
            status = add_values(card, name.data, value, err);
        else if (status == TR_OK && !json_is_array(value) && !json_is_null(value))
            status = add_value(card, name.data, value, err);
        tr_string_free(&name);
        TR_TRY(status);
    }
    return TR_OK;
}

static enum tr_status add_rule(struct tr_string *card, const struct tr_drop_job *job,
                               struct tr_err *err) {
    const char *argument = job->options->drop;
    json_t *plan;
    struct tr_err none;
    const char *at = strchr(argument, '@');
    if (!at)
        return tr_string_format(card, err,
                                "Named by hand: `--drop \"%s\"`. Who wrote this model "
                                "knows why.\n",
                                argument);
    TR_TRY(tr_string_format(card, err, "Read from `%s`", at + 1));
    if (tr_json_load(&plan, at + 1, LARGEST_PLAN, &none) != TR_OK)
        return tr_string_format(card, err, ".\n");
    enum tr_status status = tr_string_format(
        card, err, json_is_object(plan) ? ", which says:\n\n" : ", a list of what is kept.\n");
    if (status == TR_OK && json_is_object(plan))
        status = add_values(card, "", plan, err);
    json_decref(plan);
    return status;
}

// ---- the card ----------------------------------------------------------------------------------

static enum tr_status add_all(struct tr_string *card, const struct tr_drop_job *job,
                              const char *told, struct tr_err *err) {
    struct tr_string set = {0};
    enum tr_status status = tr_drop_set_text(&job->drop, &set, err);
    if (status == TR_OK)
        status = tr_string_format(
            card, err,
            "# Sublayers that were left out\n\nOf the %lld blocks of `%s` these are left out: "
            "`%s`, counted from 0. Written by %s as `%s%s%s`.\n\n## How they were chosen\n\n",
            (long long)job->config.layers, job->options->source, set.data, job->options->made_by,
            job->options->form->name, job->options->form->dialect ? " " : "",
            job->options->form->dialect ? job->options->form->dialect : "");
    tr_string_free(&set);
    TR_TRY(status);
    TR_TRY(add_rule(card, job, err));
    return tr_string_format(card, err, "\n## What it is now\n\n%s\n## What loads it\n\n%s\n", told,
                            job->options->form->loads);
}

enum tr_status tr_card_write(const struct tr_drop_job *job, const char *told, const char *folder,
                             struct tr_err *err) {
    struct tr_string card = {0};
    char *path = NULL;
    enum tr_status status = add_all(&card, job, told, err);
    if (status == TR_OK)
        status = tr_path_join(&path, folder, "DROPPED.md", err);
    if (status == TR_OK)
        status = tr_file_replace(path, card.data, card.size, err);
    tr_string_free(&card);
    free(path);
    return status;
}
