// SPDX-License-Identifier: Apache-2.0
// Lines that ask for text: prompts, requests of the type generate_until, and the harness's samples
// of them.
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "request_lines.h"

enum { NEW_TOKENS = 256, MOST_TOKENS = 1 << 20 }; // the harness's default, and what makes sense

// A text, or a list of texts; absent: none.
static enum tr_status read_texts(char ***texts_p, int64_t *count_p, const json_t *value,
                                 const struct tr_request_line *line, const char *key,
                                 struct tr_err *err) {
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (!value || json_is_null(value))
        return TR_OK;
    TR_TRY(TR_NEW(texts_p, count, "texts", err));
    for (size_t i = 0; i < count; i++) {
        const char *text = tr_request_text(json_is_array(value) ? json_array_get(value, i) : value);
        if (!text)
            return tr_fail(err, TR_EUSAGE, "%s: \"%s\" is no text and no list of texts", line->what,
                           key);
        TR_TRY(tr_strdup(&(*texts_p)[i], text, err));
        *count_p = (int64_t)i + 1;
    }
    return TR_OK;
}

// What lines and the harness's arguments have in common: where the text ends.
static enum tr_status read_ends(struct tr_generate *g, const json_t *object,
                                const struct tr_request_line *line, struct tr_err *err) {
    bool samples = false;
    double temperature = 0;
    TR_TRY(tr_json_i64(object, "max_gen_toks", &g->most, line->what, err));
    TR_TRY(tr_json_bool(object, "do_sample", &samples, line->what, err));
    TR_TRY(tr_json_f64(object, "temperature", &temperature, line->what, err));
    if (samples)
        return tr_fail(err, TR_EUSAGE, "%s: text is drawn at random; only greedy text is made",
                       line->what);
    if (g->most < 1 || g->most > MOST_TOKENS)
        return tr_fail(err, TR_EUSAGE, "%s: \"max_gen_toks\" is %lld", line->what,
                       (long long)g->most);
    return read_texts(&g->until, &g->until_count, json_object_get(object, "until"), line, "until",
                      err);
}

static enum tr_status read_ids(struct tr_generate *g, const json_t *list,
                               const struct tr_request_line *line, struct tr_err *err) {
    size_t count = json_array_size(list);
    if (!count)
        return tr_fail(err, TR_EUSAGE, "%s: \"input_ids\" is no list of ids", line->what);
    TR_TRY(TR_NEW(&g->ids, count, "ids", err));
    g->id_count = (int64_t)count;
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_array_get(list, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX)
            return tr_fail(err, TR_EUSAGE, "%s: \"input_ids\" is no list of ids", line->what);
        g->ids[i] = (int32_t)json_integer_value(id);
    }
    return TR_OK;
}

// The context: a text under `key`, or ids.
static enum tr_status read_context(struct tr_document *document, const struct tr_request_line *line,
                                   const char *key, struct tr_err *err) {
    const char *context = tr_request_text(json_object_get(line->object, key));
    const json_t *ids = json_object_get(line->object, "input_ids");
    if (!context && !ids)
        return tr_fail(err, TR_EUSAGE, "%s has neither a text as \"%s\" nor \"input_ids\"",
                       line->what, key);
    if (ids)
        TR_TRY(read_ids(&document->generate, ids, line, err));
    TR_TRY(tr_document_requests(document, 1, err));
    return tr_document_request(document, 0, context ? context : "", "", err);
}

enum tr_status tr_request_line_generate(struct tr_document *document,
                                        const struct tr_request_line *line, struct tr_err *err) {
    struct tr_generate *g = &document->generate;
    g->most = line->new_tokens ? line->new_tokens : NEW_TOKENS;
    TR_TRY(read_context(document, line, line->new_tokens ? "prompt" : "context", err));
    TR_TRY(read_ends(g, line->object, line, err));
    TR_TRY(tr_json_bool(line->object, "ignore_case", &g->ignore_case, line->what, err));
    TR_TRY(
        tr_json_bool(line->object, "ignore_punctuation", &g->ignore_punctuation, line->what, err));
    return read_texts(&g->targets, &g->target_count, json_object_get(line->object, "target"), line,
                      "target", err);
}

enum tr_status tr_request_line_prompt(const struct tr_request_line *line, struct tr_err *err) {
    struct tr_document *document;
    int64_t id = INT64_MIN;
    TR_TRY(tr_json_i64(line->object, "doc_id", &id, line->what, err));
    for (int64_t t = 0; t < line->tasks->count && id == INT64_MIN; t++)
        if (strcmp(line->tasks->tasks[t].name, line->task_name) == 0)
            id = line->tasks->tasks[t].count;
    TR_TRY(tr_document_new(&document, line, line->task_name, TR_TASK_GENERATE,
                           id == INT64_MIN ? 0 : id, err));
    return tr_request_line_generate(document, line, err);
}

// The target is always a text, of several a list that is spelled as Python does.
enum tr_status tr_request_line_generated(struct tr_document *document,
                                         const struct tr_request_line *line, const json_t *context,
                                         const json_t *options, struct tr_err *err) {
    struct tr_generate *g = &document->generate;
    const char *text = tr_request_text(context);
    g->most = NEW_TOKENS;
    if (!text)
        return tr_fail(err, TR_EUSAGE, "%s: the context holds a zero character", line->what);
    TR_TRY(tr_document_requests(document, 1, err));
    TR_TRY(tr_document_request(document, 0, text, "", err));
    TR_TRY(read_ends(g, options, line, err));
    return read_texts(&g->targets, &g->target_count, json_object_get(line->object, "target"), line,
                      "target", err);
}
