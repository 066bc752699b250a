// SPDX-License-Identifier: Apache-2.0
#ifndef TR_EXIT_H
#define TR_EXIT_H

#include "base/status.h"

// How every program of this project ends.
enum {
    EXIT_SOME_FAILED = 1, // some checkpoints failed, named in the messages and in the store
    EXIT_USAGE = 2,       // the command line, or a file that it names, cannot be meant so
    EXIT_ENVIRONMENT = 3, // the machine, a disk, a damaged store, or what is in an output's way
    EXIT_STOPPED = 75     // a signal came and left work: the same command continues
};

// The exit code of a status, the same in every program; that of checkpoints is trace-ckpts' own.
int tr_exit_code(enum tr_status status);

#endif
