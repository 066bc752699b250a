// SPDX-License-Identifier: Apache-2.0
// trace-ckpts: every checkpoint of a training run over a calibration text, into a time series.
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "ckpts_options.h"
#include "exit.h"
#include "interrupt.h"
#include "mpi/dist.h"
#include "ranks.h"
#include "run/job_shards.h"

static int run(const struct tr_run_settings *settings, struct dist *dist) {
    struct tr_run_outcome outcome;
    struct tr_err err = {0};
    enum tr_status status = tr_run_shards(settings, dist, &outcome, &err);
    if (status != TR_OK)
        return tr_complain_of_job("trace-ckpts", &err, status);
    return outcome.stopped ? EXIT_STOPPED : outcome.failed ? EXIT_SOME_FAILED : 0;
}

int main(int argc, char **argv) {
    struct tr_run_settings settings = tr_ckpts_defaults();
    struct tr_err err = {0};
    struct dist *dist;
    char *out; // where OUT leads to now: its links may change while the job runs
    char *command = tr_command_line(argc, argv); // before getopt sorts it
    program_parse(&trace_ckpts_program, &settings, argc, argv, tr_is_first_rank());
    settings.command = command ? command : "trace-ckpts";
    if (settings.any_device || settings.device == KN_CUDA)
        kn_prepare(KN_CUDA); // while ranks meet and the series is looked at
    settings.stop = tr_interrupt_flag();
    settings.remove_on_stop = tr_interrupt_removes;
    enum tr_status status = tr_file_target(&out, settings.out, &err);
    if (status == TR_OK)
        status = dist_open(&dist, &err);
    if (status != TR_OK) {
        tr_complain_of_job("trace-ckpts", &err, status);
        kn_prepare_end();
        return EXIT_ENVIRONMENT;
    }
    settings.out = out;
    // Every rank leaves with the highest code, so that mpirun does too.
    double code = run(&settings, dist);
    dist_max(dist, &code, 1);
    dist_close(dist);
    kn_prepare_end();
    free(command);
    free(out);
    free(settings.paths);
    return (int)code;
}
