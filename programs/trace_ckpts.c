// SPDX-License-Identifier: Apache-2.0
// trace-ckpts: every checkpoint of a training run over a calibration text, into a time series.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "ckpts_options.h"
#include "exit.h"
#include "interrupt.h"
#include "leave.h"
#include "mpi/dist.h"
#include "run/run.h"

// Usage errors are found before MPI starts, and one rank alone prints them. Launchers tell a
// process its rank by a variable of the environment.
static bool is_first_rank(void) {
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                            "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        if (getenv(variables[i]))
            return strcmp(getenv(variables[i]), "0") == 0;
    return true;
}

// What is malformed or unknown, and no file that an option names, is the checkpoints themselves.
static int complain(const struct tr_err *err, enum tr_status status) {
    tr_complain("trace-ckpts", err);
    if (status == TR_EFORMAT || status == TR_EUNSUPPORTED)
        return EXIT_SOME_FAILED;
    return tr_exit_code(status);
}

static int run(const struct tr_run_settings *settings, struct dist *dist) {
    struct tr_run_outcome outcome;
    struct tr_err err = {0};
    enum tr_status status = tr_run(settings, dist, &outcome, &err);
    if (status != TR_OK)
        return complain(&err, status);
    return outcome.stopped ? EXIT_STOPPED : outcome.failed ? EXIT_SOME_FAILED : 0;
}

int main(int argc, char **argv) {
    struct tr_run_settings settings = tr_ckpts_defaults();
    struct tr_err err = {0};
    struct dist *dist;
    char *out; // where OUT leads to now: its links may change while the job runs
    char *command = tr_command_line(argc, argv); // before getopt sorts it
    program_parse(&trace_ckpts_program, &settings, argc, argv, is_first_rank());
    settings.command = command ? command : "trace-ckpts";
    settings.stop = tr_interrupt_flag();
    enum tr_status status = tr_file_target(&out, settings.out, &err);
    if (status == TR_OK)
        status = dist_open(&dist, &err);
    if (status != TR_OK) {
        complain(&err, status);
        return EXIT_ENVIRONMENT;
    }
    settings.out = out;
    // Every rank leaves with the highest code, so that mpirun does too.
    double code = run(&settings, dist);
    dist_max(dist, &code, 1);
    dist_close(dist);
    free(command);
    free(out);
    free(settings.paths);
    return (int)code;
}
