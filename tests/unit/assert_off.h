// SPDX-License-Identifier: Apache-2.0
#ifndef ASSERT_OFF_H
#define ASSERT_OFF_H

// As a release build has it: breaks an invariant whose condition counts how often it is evaluated.
void assert_off_break(void);
int assert_off_evaluations(void);

#endif
