// SPDX-License-Identifier: Apache-2.0
#ifndef DIST_WORK_FORECAST_H
#define DIST_WORK_FORECAST_H

#include "mpi/work.h"

// How a list of work would go on a machine that is not there: the hand-out of work.h by a clock of
// its own. A pure function.

struct dist_machine {
    int ranks, nodes; // rank r is on node r * nodes / ranks
    double flops;     // FLOP/s of a rank
    double read;      // bytes/s that a node reads, shared by the tasks it reads; INFINITY: no limit
};

struct dist_forecast {
    int64_t items;
    double seconds; // until the last item is done
    double idle;    // share of the ranks' time until then in which they compute nothing
    double bytes;   // read by all nodes
    double rereads; // of the node where it is the most: bytes read over those of the tasks it had
};

// An item takes as long as its operations, or where that is more as its weights take to come, which
// are read while it runs. Ranks of a node that are at one task at the same time read it once
// between them (the page cache); a rank that comes to it when no other is at it any more reads it
// again.
enum tr_status dist_forecast(struct dist_forecast *forecast, const struct dist_task *tasks,
                             int64_t count, int64_t units, const struct dist_machine *machine,
                             struct tr_err *err);

#endif
