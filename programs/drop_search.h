// SPDX-License-Identifier: Apache-2.0
#ifndef DROP_SEARCH_H
#define DROP_SEARCH_H

#include "option.h"

// trace-drop search, as a command of the program; returns its exit code.
int tr_drop_search(const struct program *program, int argc, char **argv);

#endif
