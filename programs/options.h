// SPDX-License-Identifier: Apache-2.0
#ifndef TR_OPTIONS_H
#define TR_OPTIONS_H

#include "run/settings.h"

// trace-ckpts' command line.

// Parses argv into settings; `command` and `stop` are left to the caller, `paths` is to be freed.
// Prints usage errors and exits with 2, as argp does; with --help or --version prints
// and exits with 0. `speaks`: only then anything is printed (rank 0).
void tr_options_parse(struct tr_run_settings *settings, int argc, char **argv, bool speaks);

// The command line as one string in history form, freed with free(); NULL without memory.
char *tr_options_command(int argc, char **argv);

#endif
