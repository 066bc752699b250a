// SPDX-License-Identifier: Apache-2.0
#ifndef TR_INTERRUPT_H
#define TR_INTERRUPT_H

#include <signal.h>

// What signals do to a program. After either of the first two a file that gets too large for the
// shell's limit is a write that fails.

// From now on a signal that ends this program first removes the file it has not finished.
void tr_interrupt_catch(void);

// From now on the signals by which people and schedulers ask for an end only count up the flag that
// is returned, so that work in flight can be finished; a second SIGINT ends the process.
const volatile sig_atomic_t *tr_interrupt_flag(void);

// The file of that name is removed when such a signal comes, at once; NULL: none any more.
void tr_interrupt_removes(const char *path);

#endif
