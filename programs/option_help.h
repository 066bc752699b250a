// SPDX-License-Identifier: Apache-2.0
#ifndef TR_OPTION_HELP_H
#define TR_OPTION_HELP_H

#include <stdio.h>

#include "option.h"

// What --help and --usage print of a program's tables.
void program_help(const struct program *program, FILE *out);
void program_usage(const struct program *program, FILE *out);

#endif
