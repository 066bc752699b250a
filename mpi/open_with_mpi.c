// SPDX-License-Identifier: Apache-2.0
// Builds with MPI. A process that no launcher started needs none: Open MPI would start a daemon of
// its own for it, which costs more than the tracing of a small model.
#include "communicator.h"
#include "launcher.h"

// Processes that a launcher started together and that do not find each other would each do the
// whole job. The first alone says so.
static enum tr_status refuse_singletons(const struct dist_launch *launch, struct tr_err *err) {
    if (!launch->first)
        return tr_fail(err, TR_ENVIRONMENT, "%s", "");
    return tr_fail(err, TR_ENVIRONMENT,
                   "a launcher started this program %lld times (%s), but each finds itself alone, "
                   "for launcher and MPI do not know each other: start it by srun --mpi=pmix (srun "
                   "--mpi=list says what there is), or by the mpirun of the MPI it was built with",
                   (long long)launch->count, launch->variable);
}

enum tr_status dist_open(struct dist **dist_p, struct tr_err *err) {
    struct dist_launch launch = dist_launch();
    if (!launch.variable)
        return dist_open_alone(dist_p, err);
    TR_TRY(dist_open_mpi(dist_p, err));
    if (dist_size(*dist_p) > 1 || launch.count < 2)
        return TR_OK;
    dist_close(*dist_p);
    return refuse_singletons(&launch, err);
}
