// SPDX-License-Identifier: Apache-2.0
#ifndef TR_INTERRUPT_H
#define TR_INTERRUPT_H

// From now on a signal that ends this program first removes the file it has not finished.
void tr_interrupt_catch(void);

#endif
