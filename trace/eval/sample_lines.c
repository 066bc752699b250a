// SPDX-License-Identifier: Apache-2.0
// Lines of the samples that lm-evaluation-harness logs (--log_samples), of version 0.4.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "python_text.h"
#include "request_lines.h"

enum { MOST_REQUESTS = 4096 };

// Argument `which` of request `index`. The keys count, and sorted as text 10 would come before 2.
static const json_t *argument(const json_t *arguments, int64_t index, int which) {
    char key[40];
    snprintf(key, sizeof key, "gen_args_%lld", (long long)index);
    const json_t *request = json_object_get(arguments, key);
    snprintf(key, sizeof key, "arg_%d", which);
    return json_object_get(request, key);
}

// Without a second argument a text is rolled over; several requests are choices.
static enum tr_status kind_of(enum tr_task_kind *kind_p, const struct tr_request_line *line,
                              const json_t *arguments, struct tr_err *err) {
    const json_t *second = argument(arguments, 0, 1);
    int64_t count = (int64_t)json_object_size(arguments);
    if (!json_is_string(argument(arguments, 0, 0)) || count > MOST_REQUESTS)
        return tr_fail(err, TR_EUSAGE, "%s: \"arguments\" are not the harness's", line->what);
    if (second && !json_is_string(second) && !json_is_object(second))
        return tr_fail(err, TR_EUSAGE, "%s: \"arguments\" are not the harness's", line->what);
    *kind_p = json_is_object(second) ? TR_TASK_GENERATE
              : !second              ? TR_TASK_ROLLING
              : count > 1            ? TR_TASK_CHOICE
                                     : TR_TASK_LIKELIHOOD;
    return TR_OK;
}

static enum tr_status read_requests(struct tr_document *document,
                                    const struct tr_request_line *line, const json_t *arguments,
                                    struct tr_err *err) {
    TR_TRY(tr_document_requests(document, (int64_t)json_object_size(arguments), err));
    for (int64_t i = 0; i < document->count; i++) {
        const char *context = tr_request_text(argument(arguments, i, 0));
        const char *continuation = tr_request_text(argument(arguments, i, 1));
        if (!context || !continuation)
            return tr_fail(err, TR_EUSAGE, "%s: request %lld is no pair of texts", line->what,
                           (long long)i);
        TR_TRY(tr_document_request(document, i, context, continuation, err));
    }
    return TR_OK;
}

// With acc_mutual_info the continuations come again, without contexts.
static bool comes_again(const struct tr_document *document) {
    int64_t half = document->count / 2;
    if (document->count < 4 || document->count % 2)
        return false;
    for (int64_t i = 0; i < half; i++)
        if (*document->requests[half + i].context ||
            strcmp(document->requests[half + i].continuation, document->requests[i].continuation))
            return false;
    return true;
}

// The texts of choices are nowhere by themselves: they are the continuations without the space that
// joins them to the context.
static enum tr_status read_choices(struct tr_document *document, struct tr_err *err) {
    int64_t count = comes_again(document) ? document->count / 2 : document->count;
    TR_TRY(tr_document_choices(document, count, err));
    for (int64_t i = 0; i < count; i++) {
        const char *text = document->requests[i].continuation;
        TR_TRY(tr_document_choice(document, i, text + (*text == ' '), err));
    }
    return TR_OK;
}

// "1" or "[0, 2]".
static enum tr_status gold_of_target(struct tr_document *document, const char *target, bool *found,
                                     struct tr_err *err) {
    json_t *value = json_loads(target, JSON_DECODE_ANY, NULL);
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    enum tr_status status = TR_OK;
    *found = json_is_integer(value) || json_array_size(value) > 0;
    for (size_t i = 0; i < count; i++)
        *found = *found && json_is_integer(json_is_array(value) ? json_array_get(value, i) : value);
    for (size_t i = 0; i < count && *found && status == TR_OK; i++)
        status = tr_document_gold(
            document, json_integer_value(json_is_array(value) ? json_array_get(value, i) : value),
            err);
    json_decref(value);
    return status;
}

// Where the context holds the option (winogrande), the target is the text behind it, and which
// option is right stands in the row of the data set: counted from 1 where the options are.
static enum tr_status gold_of_row(struct tr_document *document, const struct tr_request_line *line,
                                  struct tr_err *err) {
    static const char *const keys[] = {"label", "answer", "gold"};
    const json_t *row = json_object_get(line->object, "doc");
    int64_t first = json_object_get(row, "option1") ? 1 : 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(row, keys[i]);
        int64_t number = json_integer_value(value);
        if (json_is_integer(value) ||
            (json_is_string(value) && tr_parse_i64(json_string_value(value), -1000, 1000, &number)))
            return tr_document_gold(document, number - first, err);
    }
    return tr_fail(err, TR_EUSAGE,
                   "%s: which choice is right stands neither in \"target\" nor in the row's "
                   "label, answer or gold; lines with \"gold\" say it (docs/evaluation.md)",
                   line->what);
}

static enum tr_status read_choice(struct tr_document *document, const struct tr_request_line *line,
                                  struct tr_err *err) {
    const char *target = "";
    bool found;
    TR_TRY(read_choices(document, err));
    TR_TRY(tr_json_string(line->object, "target", &target, line->what, err));
    TR_TRY(gold_of_target(document, target, &found, err));
    return found ? TR_OK : gold_of_row(document, line, err);
}

// The counts of words and bytes are of the text before it was made ready, and stand in what the
// harness logged of its metrics: [log-likelihood, count].
static void logged_count(const struct tr_request_line *line, const char *metric, int64_t *count_p) {
    const json_t *pair = json_object_get(line->object, metric);
    const json_t *count = json_array_get(pair, 1);
    if (json_array_size(pair) == 2 && json_is_integer(count) && json_integer_value(count) > 0)
        *count_p = json_integer_value(count);
}

static enum tr_status read_rolling(struct tr_document *document, const struct tr_request_line *line,
                                   const json_t *arguments, struct tr_err *err) {
    const char *text = tr_request_text(argument(arguments, 0, 0));
    if (!text)
        return tr_fail(err, TR_EUSAGE, "%s: the text holds a zero character", line->what);
    TR_TRY(tr_document_requests(document, 1, err));
    TR_TRY(tr_document_request(document, 0, "", text, err));
    document->words = tr_python_words(text);
    document->text_bytes = (int64_t)strlen(text);
    logged_count(line, "word_perplexity", &document->words);
    logged_count(line, "byte_perplexity", &document->text_bytes);
    if (document->text_bytes < 1)
        return tr_document_fault(document, err, "the text is empty");
    return TR_OK;
}

enum tr_status tr_request_line_sample(const struct tr_request_line *line, struct tr_err *err) {
    const json_t *arguments = NULL;
    enum tr_task_kind kind = TR_TASK_CHOICE;
    struct tr_document *document;
    int64_t id = INT64_MIN;
    TR_TRY(tr_json_object(line->object, "arguments", &arguments, line->what, err));
    TR_TRY(tr_json_i64(line->object, "doc_id", &id, line->what, err));
    if (id == INT64_MIN)
        return tr_fail(err, TR_EUSAGE, "%s has no \"doc_id\"", line->what);
    TR_TRY(kind_of(&kind, line, arguments, err));
    TR_TRY(tr_document_new(&document, line, line->task_name, kind, id, err));
    if (kind == TR_TASK_GENERATE)
        return tr_request_line_generated(document, line, argument(arguments, 0, 0),
                                         argument(arguments, 0, 1), err);
    if (kind == TR_TASK_ROLLING)
        return read_rolling(document, line, arguments, err);
    TR_TRY(read_requests(document, line, arguments, err));
    return kind == TR_TASK_CHOICE ? read_choice(document, line, err) : TR_OK;
}
