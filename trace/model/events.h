// SPDX-License-Identifier: Apache-2.0
#ifndef TR_EVENTS_H
#define TR_EVENTS_H

// Events of the kernels that order slabs and downloads, two of each.
enum tr_event { TR_EVENT_COPIED = 0, TR_EVENT_USED = 2, TR_EVENT_SUMMED = 4 };

#endif
