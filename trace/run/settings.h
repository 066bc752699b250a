// SPDX-License-Identifier: Apache-2.0
#ifndef TR_RUN_SETTINGS_H
#define TR_RUN_SETTINGS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ckpt/series.h"
#include "kernels/backend.h"

enum { TR_TEXTS_MOST = 16 };

struct tr_search_wishes; // search_plan.h

// What a job is told by whoever starts it: a command line, another program, a test. Everything is
// borrowed and outlives the job. Every rank has the same settings.
struct tr_run_settings {
    char **
        paths; // [path_count] folders of checkpoints, or with `follow` that of a run; or a manifest
    int64_t path_count;
    const char *manifest, *out, *tokens, *tokenizer; // files; NULL: not given
    const char *text[TR_TEXTS_MOST];                 // files, or "-" for stdin
    int64_t texts;
    const char *drop;                          // a drop set, or @FILE; NULL: nothing is left out
    const char *name_pattern;                  // of struct tr_series_options; NULL: not given
    const char *config;                        // of struct tr_wanted; NULL: not given
    const char *cost;                          // modules whose removal is measured; NULL: none
    const char *drop_sets;                     // a file of named sets; NULL: not given
    const char *drop_sets_text;                // lines of such a file instead; NULL: not given
    bool set_distances;                        // of the named sets set_js and set_angle, too
    const struct tr_search_wishes *search;     // a greedy search; NULL: none
    int64_t cost_samples;                      // rows on which it is, 0: not given
    int64_t samples, seq_len, tokens_per_step; // 0: not given
    int64_t span_tokens, drift_tokens;         // 0: not given
    bool separate, spans, per_token, no_nll, fresh, verify, dry_run;
    int64_t shard, shards; // of the series the shard-th of so many parts, from 1; 0: all of it
    bool take_over;        // with it: then those whose jobs died (shards.h)
    // Of a dry run: the machine that the job is thought on; 0: not given. rank_rate: in TFLOP/s.
    int64_t ranks, nodes;
    double rank_rate;
    uint64_t read_rate; // bytes/s of a node
    bool no_rows;       // nothing is run over a text: no calibration is looked for
    bool follow;        // goes on with what appears in the run's folder
    int64_t until_step; // with it: until a checkpoint of this step or a later one; 0: not given
    int64_t until_idle; // until nothing has appeared for so many seconds; 0: not given
    bool bos;           // each document begins with what the tokenizer puts before a text
    int64_t publish_seconds;
    bool any_device; // auto: a device where there is one
    enum kn_kind device;
    bool any_type; // auto: what suits device and weights
    enum kn_type type;
    uint64_t device_memory;                // bytes of each device, 0: not given
    const char *version, *build, *command; // recorded in the store

    // For people. Only rank 0 writes.
    FILE *messages;           // notes, plan, progress, failures
    FILE *results;            // the page of a dry run
    int64_t progress_seconds; // between lines of progress; 0: none, -1: what suits the stream
    bool quiet, verbose;      // quiet: failures only

    // After how many deaths over it a checkpoint is recorded as failed (store/deaths.h); 0: never.
    int64_t give_up;
    // Has a file removed at once when a stop comes, also while a rank computes; NULL: nobody can.
    void (*remove_on_stop)(const char *path);

    // Not 0: take no more items, finish those in flight. A signal handler may set it.
    const volatile sig_atomic_t *stop;

    // Seconds. time_limit: the job ends then, INFINITY: never, 0: when the scheduler says. grace:
    // from a stop until what is in flight is dropped, 0: never. stall, stall_limit: of a rank's
    // silence, until it is told and until the job is ended, 0: never.
    double time_limit, grace, stall, stall_limit;
};

static inline struct tr_series_options tr_settings_series(const struct tr_run_settings *s) {
    return (struct tr_series_options){.tokens_per_step = s->tokens_per_step,
                                      .name_pattern = s->name_pattern,
                                      .separate = s->separate};
}

#endif
