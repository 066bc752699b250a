// SPDX-License-Identifier: Apache-2.0
// Builds with MPI. A process that no launcher started needs none: Open MPI would start a daemon of
// its own for it, which costs more than the tracing of a small model.
#include "communicator.h"
#include "launcher.h"

enum tr_status dist_open(struct dist **dist_p, struct tr_err *err) {
    return dist_launch().variable ? dist_open_mpi(dist_p, err) : dist_open_alone(dist_p, err);
}
