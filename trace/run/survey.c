// SPDX-License-Identifier: Apache-2.0
// What the checkpoints of a series have in common, from their folders and configs alone.
#include "survey.h"

#include <string.h>

struct survey {
    int64_t least, most; // rows of the vocabulary
    char choice[160];    // which of several files of weights is read
    const char *chosen;  // the first checkpoint of which it is true
    int64_t choices;     // such checkpoints
};

// A model that differs from the first in its vocabulary alone.
static bool is_padded(const struct tr_job *job, const struct tr_config *other) {
    struct tr_config same = *other;
    char shape[256], first[256];
    same.vocabulary = job->first.config.vocabulary;
    tr_shape_text(&same, shape);
    tr_shape_text(&job->first.config, first);
    return strcmp(shape, first) == 0;
}

static void take_glance(struct survey *survey, const struct tr_job *job,
                        const struct tr_series_entry *entry, const struct tr_glance *glance) {
    int64_t vocabulary = glance->config.vocabulary;
    if (is_padded(job, &glance->config)) {
        survey->least = vocabulary < survey->least ? vocabulary : survey->least;
        survey->most = vocabulary > survey->most ? vocabulary : survey->most;
    }
    if (!*glance->choice || survey->choices++)
        return;
    strcpy(survey->choice, glance->choice);
    survey->chosen = entry->name;
}

static enum tr_status say_survey(const struct survey *survey, bool loss, struct tr_string *notes,
                                 struct tr_err *err) {
    if (survey->choices)
        TR_TRY(tr_string_format(notes, err, "%s: %s%s\n", survey->chosen, survey->choice,
                                survey->choices > 1 ? ", and so on" : ""));
    if (survey->most == survey->least)
        return TR_OK;
    return tr_string_format(notes, err,
                            "the vocabulary grows from %lld to %lld rows within the series: the "
                            "first %lld are used throughout%s\n",
                            (long long)survey->least, (long long)survey->most,
                            (long long)survey->least,
                            loss ? ", and the loss is over those ids" : "");
}

// What cannot be read fails later, by itself.
enum tr_status tr_job_survey(struct tr_job *job, int64_t first, struct tr_string *notes,
                             struct tr_err *err) {
    int64_t vocabulary = job->first.config.vocabulary;
    struct survey survey = {.least = vocabulary, .most = vocabulary};
    for (int64_t i = 0; i < job->series.count; i++) {
        struct tr_glance glance;
        struct tr_err ignored;
        if (tr_glance_at(&glance, job->series.entries[i].path, job->wanted.config, &ignored) ==
            TR_OK)
            take_glance(&survey, job, &job->series.entries[i], &glance);
    }
    if (survey.least < survey.most)
        job->wanted.vocabulary = survey.least;
    if (survey.least < vocabulary)
        TR_TRY(tr_loaded_examine(&job->first, job->series.entries[first].path, &job->wanted, err));
    return say_survey(&survey, job->wanted.head, notes, err);
}
