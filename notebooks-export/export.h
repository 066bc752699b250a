// SPDX-License-Identifier: Apache-2.0
#ifndef NX_EXPORT_H
#define NX_EXPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/status.h"
#include "base/strings.h"
#include "store/excerpt.h"
#include "store/store.h"

// A trace in the formats that others read. Adding one is adding a row to nx_exporters.

// What the user asked for, as text; NULL and false where nothing was said.
struct nx_options {
    const char *store;     // path of the store
    const char *to;        // an exporter's name
    const char *out;       // path, "-" for stdout; NULL: the store's name with another suffix
    const char *variables; // names with commas between; "default", "all"
    const char *modules;   // "attn", "mlp,block"
    const char *layers;    // "0-3,7"
    const char *steps;     // training steps, "0,512,1000-"
    bool force;            // replace what is there
    bool wide;             // csv: a column for each variable
    bool units;            // csv: a row of units below the header
    const char *figure;    // svg: the name of one of nx_figures; NULL: all
    const char *count;     // size of the sets of least important layers
    const char *from;      // the first step that these rest on
    const char *by;        // what layers are ranked by
    const char *below;     // which are below this at every checkpoint is said, too
    const char *level;     // confidence of intervals
    bool follow;           // html, svg: again whenever the store is published (follow.h)
    bool comment;          // csv: where the values come from, in lines that begin with #
};

// An export that has begun: all borrowed by the exporter.
struct nx_job {
    const struct nx_options *options;
    const struct tr_trace *trace;
    struct tr_excerpt excerpt; // the checkpoints, layers, modules and variables wanted
};

// The options that not every exporter takes.
enum nx_takes {
    NX_WIDE = 1,
    NX_UNITS = 2,
    NX_COMMENT = 4,
    NX_FIGURE = 8,
    NX_FOLLOW = 16,
    NX_VARIABLES = 32,
    NX_CHOICE = 64, // of the least important layers: --by, --count, --below, --from, --level
};

struct nx_exporter {
    const char *name;    // of --to
    const char *suffix;  // of the file, when none is named
    const char *summary; // for --help
    unsigned takes;      // of enum nx_takes
    bool everything;     // by default all variables and the failed checkpoints too; else the
                         // numbers over (checkpoint, layer, module) of the complete checkpoints
    // One of the first two. Text, also to stdout; a failed write may be left to the caller to find.
    enum tr_status (*text)(const struct nx_job *job, FILE *out, struct tr_err *err);
    // A file, which the exporter creates.
    enum tr_status (*file)(const struct nx_job *job, const char *path, struct tr_err *err);
    // Several files, unless one figure is asked for: written into a folder that the exporter makes
    // when it is not there, each of them whole.
    enum tr_status (*folder)(const struct nx_job *job, const char *folder, struct tr_err *err);
};
extern const struct nx_exporter nx_exporters[];
extern const int nx_exporter_count;

const struct nx_exporter *nx_exporter_find(const char *name); // NULL when there is none

// Exports. The output is written aside, synced and renamed. Sentences for people (what was left
// out, what is not in the store yet) are appended to `notes`, one a line; the path written, NULL
// for stdout, goes to *path_p (free()). TR_EUSAGE: the options contradict each other or the store;
// TR_ECONFLICT: the output is there and not to be replaced.
enum tr_status nx_export(const struct nx_options *options, struct tr_string *notes, char **path_p,
                         struct tr_err *err);

// The exporters (one source each).
enum tr_status nx_csv(const struct nx_job *job, FILE *out, struct tr_err *err);
enum tr_status nx_json(const struct nx_job *job, FILE *out, struct tr_err *err);
enum tr_status nx_notebook(const struct nx_job *job, FILE *out, struct tr_err *err);
enum tr_status nx_html(const struct nx_job *job, FILE *out, struct tr_err *err);
enum tr_status nx_svg(const struct nx_job *job, FILE *out, struct tr_err *err);
enum tr_status nx_svg_folder(const struct nx_job *job, const char *folder, struct tr_err *err);

#endif
