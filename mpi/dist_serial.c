// SPDX-License-Identifier: Apache-2.0
// One process without MPI: rank 0 of 1, every request is answered in place.
#include "mpi/dist.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "service.h"

struct dist {
    struct dist_host host; // between dist_serve_begin and dist_serve_end
};

// How launchers say to a process how many there are, and which one it is. Slurm's batch script,
// which is one process, knows the tasks of its job, but only srun gives a step a number of its own.
static const struct {
    const char *count, *rank;
} launchers[] = {{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
                 {"PMI_SIZE", "PMI_RANK"},
                 {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}};

// Processes that know nothing of each other would each do the whole job, into one file. The first
// alone says so.
static enum tr_status refuse_launcher(struct tr_err *err) {
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++) {
        const char *text = getenv(launchers[i].count), *rank = getenv(launchers[i].rank);
        int64_t count;
        if (!text || !tr_parse_i64(text, 2, INT64_MAX, &count))
            continue;
        if (rank && strcmp(rank, "0") != 0)
            return tr_fail(err, TR_ENVIRONMENT, "%s", "");
        return tr_fail(err, TR_ENVIRONMENT,
                       "this program was built without MPI, but a launcher started it %lld times "
                       "(%s): start it once, or build it with MPI",
                       (long long)count, launchers[i].count);
    }
    return TR_OK;
}

enum tr_status dist_open(struct dist **dist_p, struct tr_err *err) {
    TR_TRY(refuse_launcher(err));
    return TR_NEW(dist_p, 1, "communicator", err);
}

void dist_close(struct dist *dist) {
    free(dist);
}

_Noreturn void dist_abort(struct dist *dist, int exit_code) {
    (void)dist;
    exit(exit_code);
}

int dist_rank(const struct dist *dist) {
    (void)dist;
    return 0;
}

int dist_size(const struct dist *dist) {
    (void)dist;
    return 1;
}

int dist_node_rank(const struct dist *dist) {
    (void)dist;
    return 0;
}

int dist_node_size(const struct dist *dist) {
    (void)dist;
    return 1;
}

enum tr_status dist_broadcast(struct dist *dist, void **bytes_p, size_t *size_p,
                              struct tr_err *err) {
    (void)dist;
    (void)bytes_p;
    (void)size_p;
    (void)err;
    return TR_OK;
}

bool dist_all_ok(struct dist *dist, bool ok) {
    (void)dist;
    return ok;
}

void dist_max(struct dist *dist, double *values, int count) {
    (void)dist;
    (void)values;
    (void)count;
}

struct dist_alike dist_node_alike(struct dist *dist, const void *bytes, size_t size) {
    (void)dist;
    (void)bytes;
    (void)size;
    return (struct dist_alike){.place = 0, .count = 1};
}

enum tr_status dist_serve_begin(struct dist *dist, const struct dist_service *service,
                                bool *computes_p, struct tr_err *err) {
    (void)err;
    dist_host_init(&dist->host, service);
    *computes_p = true;
    return TR_OK;
}

enum tr_status dist_request(struct dist *dist, const void *request, size_t size, void **answer_p,
                            size_t *answer_size_p, struct tr_err *err) {
    enum tr_status status =
        dist_host_answer(&dist->host, 0, request, size, answer_p, answer_size_p, err);
    dist_host_tick(&dist->host);
    return status;
}

void dist_serve_end(struct dist *dist) {
    dist_host_destroy(&dist->host);
}
