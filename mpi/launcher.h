// SPDX-License-Identifier: Apache-2.0
#ifndef DIST_LAUNCHER_H
#define DIST_LAUNCHER_H

#include <stdbool.h>
#include <stdint.h>

// What the environment says of who started this process. Slurm's batch script, which is one
// process, knows the tasks of its job, but only srun gives a step a number of its own.
struct dist_launch {
    const char *variable; // by which the launcher was recognised, or NULL: started by hand
    int64_t count;        // how many processes it says that it started; 0 where it does not say
    bool first;           // whether this is the first of them, as far as is known
};

struct dist_launch dist_launch(void);

// The tasks that the scheduler has given this job, as its environment says (Slurm: SLURM_NTASKS); 0
// where it says nothing.
int64_t dist_tasks(void);

// Seconds until the scheduler ends this job, as its environment says (Slurm: SLURM_JOB_END_TIME, a
// time of day); INFINITY where it says nothing.
double dist_seconds_left(void);

#endif
