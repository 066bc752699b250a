// SPDX-License-Identifier: Apache-2.0
#include "launcher.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/strings.h"

// Variables that a process has only when a launcher of parallel programs started it. `count` is
// NULL where the launcher tells that to its library alone. TRACE_MPI is for launchers that are not
// here.
static const struct {
    const char *count, *rank;
} launchers[] = {{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
                 {"PMI_SIZE", "PMI_RANK"},
                 {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},
                 {"MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"},
                 {"JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_RANK"},
                 {"FLUX_JOB_SIZE", "FLUX_TASK_RANK"},
                 {NULL, "PMIX_RANK"},
                 {NULL, "PMI_FD"},
                 {NULL, "PALS_RANKID"},
                 {NULL, "ALPS_APP_PE"},
                 {NULL, "TRACE_MPI"}};

// Said by whoever starts jobs by a launcher that have nothing to do with each other.
static bool is_alone(void) {
    const char *text = getenv("TRACE_MPI");
    return text && strcmp(text, "0") == 0;
}

struct dist_launch dist_launch(void) {
    if (is_alone())
        return (struct dist_launch){.first = true};
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++) {
        const char *name = launchers[i].count ? launchers[i].count : launchers[i].rank;
        const char *text = getenv(name), *rank = getenv(launchers[i].rank);
        if (!text)
            continue;
        struct dist_launch launch = {.variable = name, .first = !rank || strcmp(rank, "0") == 0};
        if (launchers[i].count && !tr_parse_i64(text, 1, INT64_MAX, &launch.count))
            launch.count = 0;
        return launch;
    }
    return (struct dist_launch){.first = true};
}

int64_t dist_tasks(void) {
    const char *text = getenv("SLURM_NTASKS");
    int64_t tasks;
    return text && !is_alone() && getenv("SLURM_JOB_ID") && tr_parse_i64(text, 1, INT64_MAX, &tasks)
               ? tasks
               : 0;
}

double dist_seconds_left(void) {
    const char *text = getenv("SLURM_JOB_END_TIME");
    int64_t end;
    if (!text || !tr_parse_i64(text, 1, INT64_MAX, &end))
        return INFINITY;
    return difftime((time_t)end, time(NULL));
}
