// SPDX-License-Identifier: Apache-2.0
// Builds without MPI. Processes that know nothing of each other would each do the whole job, into
// one file. The first alone says so.
#include "communicator.h"
#include "launcher.h"

enum tr_status dist_open(struct dist **dist_p, struct tr_err *err) {
    struct dist_launch launch = dist_launch();
    if (launch.count < 2)
        return dist_open_alone(dist_p, err);
    if (!launch.first)
        return tr_fail(err, TR_ENVIRONMENT, "%s", "");
    return tr_fail(err, TR_ENVIRONMENT,
                   "this program was built without MPI, but a launcher started it %lld times "
                   "(%s): start it once, or build it with MPI",
                   (long long)launch.count, launch.variable);
}
