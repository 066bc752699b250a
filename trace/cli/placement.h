// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PLACEMENT_H
#define TR_PLACEMENT_H

#include "dist.h"
#include "protocol.h"

// Where ranks run: how many threads each should use, and whether a launcher left cores idle.

// Threads for this rank: OMP_NUM_THREADS when set; else the processors of its affinity mask, shared
// evenly when all ranks of the node have the whole node.
int tr_placement_threads(const struct dist *dist);

// Fills host, processors and online; threads and product_rate are the caller's.
void tr_placement_hello(struct tr_hello *hello);

// A sentence when the ranks of one node leave processors idle or share them, "" when all is well.
// `hellos` are those of one node.
void tr_placement_advice(const struct tr_hello *hellos, int count, char *text, size_t size);

#endif
