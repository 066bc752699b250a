// SPDX-License-Identifier: Apache-2.0
#ifndef AN_REPORT_H
#define AN_REPORT_H

#include "analysis/compare.h"
#include "analysis/heatmap.h"
#include "analysis/result.h"
#include "base/status.h"
#include "base/strings.h"

// What trace-analyze prints of a result: the answer in a few lines, what the data is and what is
// wrong with it, then for each group the parts that are asked for, and what the words mean at the
// end.

enum an_section {
    AN_SECTION_ANSWER,
    AN_SECTION_DATA,
    AN_SECTION_LAYERS,
    AN_SECTION_MAP,
    AN_SECTION_SETS,
    AN_SECTION_STABILITY,
    AN_SECTION_HISTORY,
    AN_SECTION_CHANCE,
    AN_SECTION_COSTS,
    AN_SECTION_TEXTS,
    AN_SECTION_SPANS,
    AN_SECTION_SEARCH,
    AN_SECTION_RUNS,
    AN_SECTIONS
};
extern const char *const an_section_names[AN_SECTIONS]; // "answer", "data", ...

#define AN_SECTION(name) (1U << AN_SECTION_##name)
enum {
    AN_BRIEF = AN_SECTION(ANSWER),
    AN_USUAL = AN_SECTION(ANSWER) | AN_SECTION(DATA) | AN_SECTION(LAYERS) | AN_SECTION(TEXTS) |
               AN_SECTION(RUNS),
    AN_FULL = (1U << AN_SECTIONS) - 1
};

enum an_format { AN_TEXT, AN_MARKDOWN, AN_LATEX, AN_CSV, AN_FORMATS };
extern const char *const an_format_names[AN_FORMATS]; // "text", ...

struct an_report {
    struct an_style style;
    enum an_format format;
    unsigned sections; // bits
    bool whole;        // no table is cut
};

// As text, Markdown, or LaTeX to be included in a document. `comparison` of the result with the
// `second` one: both NULL where there is one. As CSV, the layers of all groups, a row each, in full
// precision, whatever sections are asked for.
enum tr_status an_report_write(const struct an_result *result,
                               const struct an_comparison *comparison,
                               const struct an_result *second, const struct an_report *how,
                               struct tr_string *out, struct tr_err *err);

#endif
