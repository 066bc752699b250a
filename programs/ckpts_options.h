// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CKPTS_OPTIONS_H
#define TR_CKPTS_OPTIONS_H

#include "option.h"
#include "run/settings.h"

// The settings of trace-ckpts before its command line is read; `command` and `stop` are left to the
// caller, `paths` is to be freed.
struct tr_run_settings tr_ckpts_defaults(void);

// Rows' `read` for whatever settings begin with those: a folder of checkpoints, a text, where to
// compute, with which operands.
bool tr_add_path(void *settings, char *path, char why[OPTION_WHY]);
bool tr_read_text(void *settings, const char *word, char why[OPTION_WHY]);
bool tr_read_device(void *settings, const char *word, char why[OPTION_WHY]);
bool tr_read_type(void *settings, const char *word, char why[OPTION_WHY]);

// A command line as one string in history form, freed with free(); NULL without memory.
char *tr_command_line(int argc, char **argv);

#endif
