// SPDX-License-Identifier: Apache-2.0
#ifndef TR_ASSERT_H
#define TR_ASSERT_H

// What must hold whatever a file, a user or the machine does: a fault of the program itself.
// Checked in debug builds and under sanitizers, where TR_ASSERTS is defined, and then the process
// aborts with file, line and condition. Elsewhere it is no code: the condition is compiled and
// never evaluated, so it must have no effects.
#ifdef TR_ASSERTS
#define TR_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : tr_assert_failed(__FILE__, __LINE__, #condition))
#else
#define TR_ASSERT(condition) ((void)sizeof((condition) ? 1 : 0))
#endif

// Says on stderr what does not hold and aborts.
_Noreturn void tr_assert_failed(const char *file, int line, const char *condition);

#endif
