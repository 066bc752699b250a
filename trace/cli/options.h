// SPDX-License-Identifier: Apache-2.0
#ifndef TR_OPTIONS_H
#define TR_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/backend.h"

// trace-ckpts' command line.
struct tr_options {
    char **paths; // [path_count] --ckpts and what follows
    int64_t path_count;
    const char *manifest, *out, *text, *tokens;
    int64_t samples, seq_len, tokens_per_step; // 0: not given
    int64_t span_tokens, drift_tokens;         // 0: not given
    bool spans, per_token, no_nll, fresh, verify, dry_run, quiet, verbose;
    int64_t publish_seconds, progress_seconds;
    bool any_device; // auto: a device where there is one
    enum kn_kind device;
    bool any_type; // auto: what suits device and weights
    enum kn_type type;
    uint64_t device_memory; // bytes of each device, 0: not given
};

// Parses argv. Prints usage errors and exits with 2, as argp does; with --help or --version prints
// and exits with 0. `speaks`: only then anything is printed (rank 0).
void tr_options_parse(struct tr_options *options, int argc, char **argv, bool speaks);

// The command line as one string in history form, freed with free(); NULL without memory.
char *tr_options_command(int argc, char **argv);

#endif
