// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CKPTS_OPTIONS_H
#define TR_CKPTS_OPTIONS_H

#include "option.h"
#include "run/settings.h"

// The settings of trace-ckpts before its command line is read; `command` and `stop` are left to the
// caller, `paths` is to be freed.
struct tr_run_settings tr_ckpts_defaults(void);

// A command line as one string in history form, freed with free(); NULL without memory.
char *tr_command_line(int argc, char **argv);

#endif
