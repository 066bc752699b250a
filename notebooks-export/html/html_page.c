// SPDX-License-Identifier: Apache-2.0
// Fills page.html: each {{name}} in it is a row of `parts`.
#include "html/html_page.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/sizes.h"
#include "figures/figures.h"
#include "figures/svg.h"
#include "html_data.h"
#include "html_table.h"

// The sources beside this one, embedded by the build.
extern const char nx_page_html[], nx_page_css[], nx_page_js[], nx_page_js_sha256[];

static enum tr_status put(struct tr_string *out, const char *text, struct tr_err *err) {
    return tr_string_append(out, text, strlen(text), err);
}

// An attribute's text, "" where the store has none.
static const char *text_of(const struct nx_page *page, const char *name) {
    const struct tr_attribute *found = tr_run_info_find(page->info, name);
    return found && found->text ? found->text : "";
}

static enum tr_status put_title(struct tr_string *out, const struct nx_page *page,
                                struct tr_err *err) {
    char *name;
    TR_TRY(tr_path_name(&name, page->store, err));
    enum tr_status status = put(out, "Layers over training: ", err);
    if (status == TR_OK)
        status = nx_escape(out, name, err);
    free(name);
    return status;
}

static enum tr_status put_summary(struct tr_string *out, const struct nx_page *page,
                                  struct tr_err *err) {
    const struct nx_data *data = page->data;
    TR_TRY(tr_string_format(out, err, "%lld checkpoint%s, from ", (long long)data->checkpoints,
                            data->checkpoints == 1 ? "" : "s"));
    TR_TRY(nx_escape(out, data->label[0], err));
    TR_TRY(put(out, " to ", err));
    TR_TRY(nx_escape(out, data->label[data->checkpoints - 1], err));
    TR_TRY(tr_string_format(out, err, "; %lld layers; %lld sequences of %lld tokens. ",
                            (long long)data->layers, (long long)page->info->layout.sequences,
                            (long long)page->info->layout.seq_len));
    TR_TRY(nx_escape(out, text_of(page, "model"), err));
    if (!*text_of(page, "scans"))
        return TR_OK;
    TR_TRY(put(out, ". attn is attention but for ", err));
    TR_TRY(nx_escape(out, text_of(page, "scans"), err));
    return put(out, ", where it is the scan of a state space", err);
}

static enum tr_status put_figures(struct tr_string *out, const struct nx_page *page,
                                  struct tr_err *err) {
    for (int i = 0; i < page->count; i++) {
        const struct nx_figure *figure = &page->figures[i];
        TR_TRY(put(out, "<figure>\n<h2>", err));
        TR_TRY(nx_escape(out, figure->title, err));
        TR_TRY(put(out, "</h2>\n", err));
        TR_TRY(nx_svg_inline(out, figure, err));
        TR_TRY(put(out, "<figcaption>", err));
        TR_TRY(nx_escape(out, figure->caption.size ? figure->caption.data : "", err));
        TR_TRY(put(out, "</figcaption>\n</figure>\n", err));
    }
    return TR_OK;
}

// Whether the row before has said already what this one needs.
static bool said(int row) {
    return row > 0 && nx_figures[row - 1].needs &&
           strcmp(nx_figures[row].needs, nx_figures[row - 1].needs) == 0;
}

// What is not there, and how to get it.
static enum tr_status put_missing(struct tr_string *out, const struct nx_page *page,
                                  struct tr_err *err) {
    for (int i = 0; i < nx_figure_count; i++) {
        if (nx_figure_possible(&nx_figures[i], page->data) || said(i))
            continue;
        TR_TRY(put(out, "<p class=\"missing\">Not shown: ", err));
        TR_TRY(nx_escape(out, nx_figures[i].title, err));
        TR_TRY(put(out, ". ", err));
        TR_TRY(nx_escape(out, page->store, err));
        TR_TRY(tr_string_format(out, err, " %s.</p>\n", nx_figures[i].needs));
    }
    return TR_OK;
}

// In words; nothing of sizes that make no sense.
static enum tr_status put_sizes(struct tr_string *out, const struct nx_page *page,
                                struct tr_err *err) {
    struct an_sizes sizes = {0};
    struct tr_string text = {0};
    enum tr_status status = TR_OK;
    if (an_sizes_read(&sizes, page->info, page->store, NULL) == TR_OK && sizes.of)
        status = an_sizes_text(&text, &sizes, err);
    for (char *line = text.data; status == TR_OK && line;) {
        char *end = strchr(line, '\n');
        status = tr_string_append(out, line, end ? (size_t)(end - line) : strlen(line), err);
        if (status == TR_OK && end)
            status = put(out, "<br>", err);
        line = end ? end + 1 : NULL;
    }
    tr_string_free(&text);
    an_sizes_free(&sizes);
    return status;
}

static enum tr_status put_provenance(struct tr_string *out, const struct nx_page *page,
                                     struct tr_err *err) {
    TR_TRY(put(out, "<dt>store</dt><dd>", err));
    TR_TRY(nx_escape(out, page->store, err));
    TR_TRY(put(out, "</dd>\n", err));
    for (int64_t i = 0; i < page->info->count; i++) {
        const struct tr_attribute *attribute = &page->info->attributes[i];
        TR_TRY(put(out, "<dt>", err));
        TR_TRY(nx_escape(out, attribute->name, err));
        TR_TRY(put(out, "</dt><dd>", err));
        if (strcmp(attribute->name, "sizes") == 0)
            TR_TRY(put_sizes(out, page, err));
        else if (attribute->is_number)
            TR_TRY(tr_string_format(out, err, "%lld", (long long)attribute->number));
        else
            TR_TRY(nx_escape(out, attribute->text, err));
        TR_TRY(put(out, "</dd>\n", err));
    }
    return TR_OK;
}

static enum tr_status put_style(struct tr_string *out, const struct nx_page *page,
                                struct tr_err *err) {
    (void)page;
    return put(out, nx_page_css, err);
}

static enum tr_status put_script(struct tr_string *out, const struct nx_page *page,
                                 struct tr_err *err) {
    (void)page;
    return put(out, nx_page_js, err);
}

// The page's policy names its script by the base64 of the digest's 32 bytes.
static enum tr_status put_script_digest(struct tr_string *out, const struct nx_page *page,
                                        struct tr_err *err) {
    (void)page;
    for (int at = 0; at < 32; at += 3) {
        unsigned char bytes[3] = {0};
        char text[4];
        int count = 32 - at < 3 ? 32 - at : 3;
        for (int i = 0; i < count; i++) {
            const char hex[3] = {nx_page_js_sha256[2 * (at + i)],
                                 nx_page_js_sha256[2 * (at + i) + 1], 0};
            bytes[i] = (unsigned char)strtoul(hex, NULL, 16);
        }
        nx_base64(bytes, count, text);
        TR_TRY(tr_string_append(out, text, 4, err));
    }
    return TR_OK;
}

static const struct part {
    const char *name;
    enum tr_status (*put)(struct tr_string *out, const struct nx_page *page, struct tr_err *err);
} parts[] = {
    {"title", put_title},       {"summary", put_summary},
    {"figures", put_figures},   {"missing", put_missing},
    {"tables", nx_html_tables}, {"provenance", put_provenance},
    {"data", nx_page_data},     {"style", put_style},
    {"script", put_script},     {"script-digest", put_script_digest},
};

static const struct part *part_at(const char *name) {
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t size = strlen(parts[i].name);
        if (strncmp(name, parts[i].name, size) == 0 && strncmp(name + size, "}}", 2) == 0)
            return &parts[i];
    }
    return NULL;
}

enum tr_status nx_page_write(struct tr_string *out, const struct nx_page *page,
                             struct tr_err *err) {
    const char *at = nx_page_html, *hole;
    while ((hole = strstr(at, "{{"))) {
        const struct part *part = part_at(hole + 2);
        TR_TRY(tr_string_append(out, at, (size_t)(hole - at), err));
        if (part)
            TR_TRY(part->put(out, page, err));
        at = strstr(hole, "}}") + 2;
    }
    return put(out, at, err);
}
