// SPDX-License-Identifier: Apache-2.0
#include "assert_off.h"

#undef TR_ASSERTS
#include "base/assert.h"

static int evaluations;

static int count(void) {
    return ++evaluations;
}

void assert_off_break(void) {
    int only_asserted = 3;
    TR_ASSERT(count() == only_asserted);
}

int assert_off_evaluations(void) {
    assert_off_break();
    return evaluations;
}
