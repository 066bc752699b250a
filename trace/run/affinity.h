// SPDX-License-Identifier: Apache-2.0
#ifndef TR_AFFINITY_H
#define TR_AFFINITY_H

#include "kernels/backend.h"
#include "kernels/ops.h"
#include "mpi/dist.h"
#include "run/protocol.h"

// Where ranks run: how many threads each should use, which device and with how many others, and
// whether a launcher left cores idle.

// Threads for this rank: OMP_NUM_THREADS when set; else the processors of its affinity mask, shared
// evenly when all ranks of the node have the whole node.
int tr_affinity_threads(const struct dist *dist);

// The device that a rank computes on.
struct tr_device {
    int index;     // among those it sees
    int sharers;   // ranks of this node that compute on the same one, this one counted
    char text[96]; // "NVIDIA H200 (UUID 1f2e3d4c...)"
};

// Collective. Ranks of a node that see the same devices take them in turn. Devices are told apart
// by what they are, not by their index: each rank may see its own as number 0.
void tr_affinity_device(struct tr_device *device, struct dist *dist);

// Fills host, processors and online; threads, product_rate and device are the caller's.
void tr_affinity_hello(struct tr_hello *hello);

// A sentence when the ranks of one node leave processors idle or share them, "" when all is well.
// `hellos` are those of one node.
void tr_affinity_advice(const struct tr_hello *hellos, int count, char *text, size_t size);

// Which devices the ranks of one node compute on and how many on each, "" on the CPU. `hellos` are
// sorted by device.
void tr_affinity_devices(const struct tr_hello *hellos, int count, char *text, size_t size);

#endif
