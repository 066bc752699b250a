// SPDX-License-Identifier: Apache-2.0
#ifndef TR_RANKS_H
#define TR_RANKS_H

#include <stdbool.h>

#include "base/status.h"

// What programs that run over checkpoints under MPI have in common.

// Usage errors are found before MPI starts, and one rank alone prints them. Launchers tell a
// process its rank by a variable of the environment.
bool tr_is_first_rank(void);

// Says the sentence and gives the exit code of an error of such a job: what is malformed or
// unknown, and no file that an option names, is the checkpoints themselves.
int tr_complain_of_job(const char *program, const struct tr_err *err, enum tr_status status);

#endif
