// SPDX-License-Identifier: Apache-2.0
#ifndef COVERAGE_TABLE_H
#define COVERAGE_TABLE_H

#include "base/status.h"
#include "statistics/random.h"

// What the programs that draw data whose truth is known share: the number of simulations, their
// random numbers, and a table of Markdown in which each line says how often something happened.

enum { FULL = 1000 }; // simulations of which the table in the repository is made

extern int simulations;
extern struct an_random random_state;

// [SIMULATIONS [SEED]] of a command line; at most `most` simulations.
void coverage_arguments(int argc, char **argv, uint64_t seed, int most);
// The head of the table; `more` ends the line that says how it was made.
void coverage_head(const char *more);
// One line: how often something happened, in percent, and the range it must be in; a range of 0 ...
// 100 asks nothing. Fewer than FULL simulations are judged with the slack of their own noise.
void line(const char *what, const char *where, double happened, double of, double least,
          double most);
// The exit status: 1 when a line missed what was asked of it.
int coverage_status(void);

// Ends the program, with the sentence, when a function under test fails.
void must(enum tr_status status, const struct tr_err *err);

#endif
