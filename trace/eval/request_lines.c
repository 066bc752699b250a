// SPDX-License-Identifier: Apache-2.0
// Our own lines of requests, see docs/evaluation.md.
#include "request_lines.h"

#include <string.h>

#include "base/json.h"
#include "python_text.h"

static enum tr_status missing(const struct tr_request_line *line, const char *key,
                              struct tr_err *err) {
    return tr_fail(err, TR_EUSAGE, "%s has no \"%s\"", line->what, key);
}

static enum tr_status read_kind(enum tr_task_kind *kind_p, const struct tr_request_line *line,
                                struct tr_err *err) {
    const char *type = NULL;
    TR_TRY(tr_json_string(line->object, "type", &type, line->what, err));
    if (!type)
        return missing(line, "type", err);
    for (int kind = 0; kind < TR_TASK_FILE_KINDS; kind++)
        if (strcmp(type, tr_task_kind_names[kind]) == 0) {
            *kind_p = (enum tr_task_kind)kind;
            return TR_OK;
        }
    return tr_fail(err, TR_EUSAGE,
                   "%s: type \"%.40s\" is not scored; multiple_choice, loglikelihood, "
                   "loglikelihood_rolling and generate_until are",
                   line->what, type);
}

// A request of the list.
static enum tr_status read_request(struct tr_document *document, int64_t index,
                                   const json_t *request, const char *what, struct tr_err *err) {
    const char *context = tr_request_text(json_object_get(request, "context"));
    const char *continuation = tr_request_text(json_object_get(request, "continuation"));
    if (!context || !continuation)
        return tr_fail(err, TR_EUSAGE,
                       "%s: request %lld lacks \"context\" or \"continuation\", or they are no "
                       "texts",
                       what, (long long)index);
    return tr_document_request(document, index, context, continuation, err);
}

static enum tr_status read_requests(struct tr_document *document,
                                    const struct tr_request_line *line, struct tr_err *err) {
    const json_t *list = NULL;
    TR_TRY(tr_json_list(line->object, "requests", &list, line->what, err));
    if (!list || !json_array_size(list))
        return missing(line, "requests", err);
    TR_TRY(tr_document_requests(document, (int64_t)json_array_size(list), err));
    for (int64_t i = 0; i < document->count; i++)
        TR_TRY(read_request(document, i, json_array_get(list, (size_t)i), line->what, err));
    return TR_OK;
}

static enum tr_status read_choices(struct tr_document *document, const struct tr_request_line *line,
                                   struct tr_err *err) {
    const json_t *list = NULL;
    TR_TRY(tr_json_list(line->object, "choices", &list, line->what, err));
    if (!list || !json_array_size(list))
        return missing(line, "choices", err);
    int64_t count = (int64_t)json_array_size(list);
    if (document->count != count && document->count != 2 * count)
        return tr_fail(err, TR_EUSAGE, "%s: %lld requests for %lld choices; one or two for each",
                       line->what, (long long)document->count, (long long)count);
    TR_TRY(tr_document_choices(document, count, err));
    for (int64_t i = 0; i < count; i++) {
        const char *text = tr_request_text(json_array_get(list, (size_t)i));
        if (!text)
            return tr_fail(err, TR_EUSAGE, "%s: choice %lld is no text", line->what, (long long)i);
        TR_TRY(tr_document_choice(document, i, text, err));
    }
    return TR_OK;
}

// A number, or a list of numbers of which any is right.
static enum tr_status read_gold(struct tr_document *document, const struct tr_request_line *line,
                                struct tr_err *err) {
    const json_t *gold = json_object_get(line->object, "gold");
    size_t count = json_is_array(gold) ? json_array_size(gold) : 1;
    if (!gold)
        return missing(line, "gold", err);
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_is_array(gold) ? json_array_get(gold, i) : gold;
        if (!json_is_integer(one))
            return tr_fail(err, TR_EUSAGE, "%s: \"gold\" is no number of a choice", line->what);
        TR_TRY(tr_document_gold(document, json_integer_value(one), err));
    }
    return TR_OK;
}

static enum tr_status read_choice(struct tr_document *document, const struct tr_request_line *line,
                                  struct tr_err *err) {
    TR_TRY(read_requests(document, line, err));
    TR_TRY(read_choices(document, line, err));
    return read_gold(document, line, err);
}

static enum tr_status read_likelihood(struct tr_document *document,
                                      const struct tr_request_line *line, struct tr_err *err) {
    TR_TRY(read_requests(document, line, err));
    if (document->count == 1)
        return TR_OK;
    return tr_fail(err, TR_EUSAGE, "%s: %lld requests, and a loglikelihood has one", line->what,
                   (long long)document->count);
}

// What the perplexities are per is counted in the text, unless another text's counts are given.
static enum tr_status read_rolling(struct tr_document *document, const struct tr_request_line *line,
                                   struct tr_err *err) {
    const char *text = tr_request_text(json_object_get(line->object, "text"));
    if (!text)
        return missing(line, "text", err);
    document->words = tr_python_words(text);
    document->text_bytes = (int64_t)strlen(text);
    TR_TRY(tr_json_i64(line->object, "words", &document->words, line->what, err));
    TR_TRY(tr_json_i64(line->object, "bytes", &document->text_bytes, line->what, err));
    if (document->words < 1 || document->text_bytes < 1)
        TR_TRY(tr_document_fault(document, err, "the text has no words or no bytes"));
    TR_TRY(tr_document_requests(document, 1, err));
    return tr_document_request(document, 0, "", text, err);
}

enum tr_status tr_request_line_own(const struct tr_request_line *line, struct tr_err *err) {
    static enum tr_status (*const read[TR_TASK_FILE_KINDS])(
        struct tr_document *, const struct tr_request_line *,
        struct tr_err *) = {[TR_TASK_CHOICE] = read_choice,
                            [TR_TASK_LIKELIHOOD] = read_likelihood,
                            [TR_TASK_ROLLING] = read_rolling,
                            [TR_TASK_GENERATE] = tr_request_line_generate};
    const char *name = line->task_name;
    enum tr_task_kind kind = TR_TASK_CHOICE;
    struct tr_document *document;
    int64_t id = INT64_MIN;
    TR_TRY(tr_json_string(line->object, "task", &name, line->what, err));
    TR_TRY(tr_json_i64(line->object, "doc_id", &id, line->what, err));
    if (id == INT64_MIN)
        return missing(line, "doc_id", err);
    TR_TRY(read_kind(&kind, line, err));
    TR_TRY(tr_document_new(&document, line, name, kind, id, err));
    return read[kind](document, line, err);
}
