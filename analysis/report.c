// SPDX-License-Identifier: Apache-2.0
#include "analysis/report.h"

#include <stdlib.h>

#include "analysis/noise_floor.h"
#include "analysis/search_result.h"
#include "base/alloc.h"
#include "writer.h"

const char *const an_section_names[AN_SECTIONS] = {
    [AN_SECTION_ANSWER] = "answer",   [AN_SECTION_DATA] = "data",
    [AN_SECTION_LAYERS] = "layers",   [AN_SECTION_MAP] = "map",
    [AN_SECTION_SETS] = "sets",       [AN_SECTION_STABILITY] = "stability",
    [AN_SECTION_HISTORY] = "history", [AN_SECTION_CHANCE] = "chance",
    [AN_SECTION_COSTS] = "costs",     [AN_SECTION_TEXTS] = "texts",
    [AN_SECTION_SPANS] = "spans",     [AN_SECTION_SEARCH] = "search",
    [AN_SECTION_RUNS] = "runs"};

const char *const an_format_names[AN_FORMATS] = {"text", "markdown", "latex", "csv"};

// What the words of a report mean, and what the methods are.
#define DOCUMENTS "docs/reading-the-report.md explains the words, docs/statistics.md the formulas."

// ---- groups ----------------------------------------------------------------------------------

// Says why a group has no chapter.
static enum tr_status write_none(struct an_writer *w, enum an_group group, struct tr_err *err) {
    const struct an_series *series = &w->result->series;
    bool gaps = false;
    for (int64_t u = 0; u < series->layers * TR_MODULES; u++)
        gaps |= series->gappy[u] && an_group_holds(group, (int)(u % TR_MODULES));
    TR_TRY(an_page_gap(&w->page, err));
    TR_TRY(tr_string_format(w->text, err, "%s: ", an_group_titles[group]));
    if (gaps)
        TR_TRY(tr_string_format(w->text, err,
                                "left out, with values at some checkpoints only. With --module %s "
                                "claims rest on those.",
                                an_group_names[group]));
    else
        TR_TRY(tr_string_format(w->text, err, "no layer has a value at any checkpoint."));
    return an_write_paragraph(w, err);
}

// The parts of a group's chapter, in their order.
static const struct {
    enum an_section section;
    enum tr_status (*write)(struct an_writer *w, struct tr_err *err);
} parts[] = {{AN_SECTION_LAYERS, an_write_table},
             {AN_SECTION_TEXTS, an_write_texts},
             {AN_SECTION_MAP, an_write_map},
             {AN_SECTION_SETS, an_write_sets},
             {AN_SECTION_STABILITY, an_write_stability},
             {AN_SECTION_HISTORY, an_write_history},
             {AN_SECTION_CHANCE, an_write_chance},
             {AN_SECTION_COSTS, an_write_trial},
             {AN_SECTION_COSTS, an_write_forecast}};
enum { PARTS = sizeof parts / sizeof *parts };

static enum tr_status write_group(struct an_writer *w, enum an_group group, struct tr_err *err) {
    bool wanted = false;
    for (int part = 0; part < PARTS; part++)
        wanted |= an_is_wanted(w, parts[part].section);
    if (!wanted)
        return TR_OK;
    if (!w->result->group[group])
        return write_none(w, group, err);
    an_begin_group(w, w->result->group[group]);
    TR_TRY(an_page_heading(&w->page, 1, an_group_titles[group], err));
    for (int part = 0; part < PARTS; part++)
        if (an_is_wanted(w, parts[part].section))
            TR_TRY(parts[part].write(w, err));
    return TR_OK;
}

// ---- the end ---------------------------------------------------------------------------------

static enum tr_status write_legend(struct an_writer *w, struct tr_err *err) {
    size_t begin = 0;
    if (w->legend.size == 0)
        return TR_OK;
    TR_TRY(an_page_heading(&w->page, 1, "What the words mean", err));
    for (size_t end = 0; end < w->legend.size; end++) {
        if (w->legend.data[end] != '\n')
            continue;
        TR_TRY(tr_string_append(w->text, w->legend.data + begin, end - begin, err));
        TR_TRY(an_write_paragraph(w, err));
        begin = end + 1;
    }
    return TR_OK;
}

// What the marks of divergences mean.
static enum tr_status write_floor(struct an_writer *w, struct tr_err *err) {
    if (!w->marked)
        return TR_OK;
    TR_TRY(an_page_gap(&w->page, err));
    TR_TRY(tr_string_format(w->text, err,
                            "~: a divergence below %.2g nats, which may be rounding alone: the "
                            "products were of %s operands, and on the larger of two series that "
                            "moved the output of an unchanged model by that much. The floor is "
                            "that measurement, not one of this store (docs/cost.md); --dtype f32 "
                            "has none.",
                            w->floor, w->result->series.dtype));
    return an_page_paragraph(&w->page, 0, err);
}

// Whether there is anything to say in a section.
static bool has(const struct an_writer *w, int section) {
    const struct an_search *search = w->result->search;
    bool costs = w->result->sets > 0;
    for (int group = 0; group < AN_GROUPS; group++)
        costs |= w->result->group[group] && w->result->group[group]->trial;
    return section == AN_SECTION_COSTS    ? costs
           : section == AN_SECTION_TEXTS  ? w->result->series.texts > 1
           : section == AN_SECTION_SPANS  ? w->result->spans != NULL
           : section == AN_SECTION_SEARCH ? search && search->checkpoints
           : section == AN_SECTION_RUNS   ? w->comparison != NULL
                                          : true;
}

static enum tr_status write_more(struct an_writer *w, struct tr_err *err) {
    int64_t said = 0;
    for (int section = 0; section < AN_SECTIONS; section++)
        if (!an_is_wanted(w, section) && has(w, section))
            TR_TRY(tr_string_format(w->text, err, "%s%s",
                                    said++ ? "," : "There is more: --full, or of it --sections ",
                                    an_section_names[section]));
    TR_TRY(an_page_gap(&w->page, err));
    if (said) {
        TR_TRY(tr_string_format(w->text, err, "."));
        TR_TRY(an_page_paragraph(&w->page, 0, err));
    }
    TR_TRY(tr_string_format(w->text, err, DOCUMENTS));
    return an_page_paragraph(&w->page, 0, err);
}

static enum tr_status write_all(struct an_writer *w, struct tr_err *err) {
    if (an_is_wanted(w, AN_SECTION_ANSWER))
        TR_TRY(an_write_answer(w, err));
    if (w->result->budget)
        TR_TRY(an_write_budget(w, err));
    if (w->how->sections == AN_BRIEF)
        return TR_OK;
    if (an_is_wanted(w, AN_SECTION_DATA))
        TR_TRY(an_write_data(w, err));
    for (int group = 0; group < AN_GROUPS; group++)
        if (w->result->settings.wanted[group])
            TR_TRY(write_group(w, group, err));
    if (w->result->sets && an_is_wanted(w, AN_SECTION_COSTS))
        TR_TRY(an_write_set_costs(w, err));
    if (w->result->spans && an_is_wanted(w, AN_SECTION_SPANS))
        TR_TRY(an_write_spans(w, err));
    if (has(w, AN_SECTION_SEARCH) && an_is_wanted(w, AN_SECTION_SEARCH))
        TR_TRY(an_write_search(w, err));
    if (w->comparison && an_is_wanted(w, AN_SECTION_RUNS))
        TR_TRY(an_write_runs(w, err));
    TR_TRY(write_legend(w, err));
    TR_TRY(write_floor(w, err));
    return write_more(w, err);
}

enum tr_status an_report_write(const struct an_result *result,
                               const struct an_comparison *comparison,
                               const struct an_result *second, const struct an_report *how,
                               struct tr_string *out, struct tr_err *err) {
    if (how->format == AN_CSV)
        return an_write_csv(result, out, err);
    struct an_writer w = {.result = result,
                          .comparison = comparison,
                          .second = second,
                          .how = how,
                          .style = how->style,
                          .floor = an_noise_floor(result->series.dtype),
                          .page = {.out = out, .format = how->format, .width = how->style.width},
                          .out = out};
    w.text = &w.page.text;
    w.style.colour &= how->format == AN_TEXT;
    TR_TRY(TR_NEW(&w.list, 2 * result->series.layers, "the report", err));
    enum tr_status status = write_all(&w, err);
    an_page_free(&w.page);
    tr_string_free(&w.legend);
    tr_string_free(&w.cell);
    free(w.list);
    return status;
}
