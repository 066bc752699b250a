// SPDX-License-Identifier: Apache-2.0
// trace-drop search: rounds by all ranks, and what they found.
#include "drop_search.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "ckpts_options.h"
#include "exit.h"
#include "interrupt.h"
#include "leave.h"
#include "mpi/dist.h"
#include "ranks.h"
#include "search/search.h"
#include "search_options.h"

static int run(const struct drop_search_settings *settings, struct dist *dist) {
    struct tr_run_outcome outcome;
    struct tr_err err = {0};
    enum tr_status status = tr_search(&settings->run, dist, &outcome, &err);
    if (status != TR_OK)
        return tr_complain_of_job("trace-drop search", &err, status);
    return outcome.stopped ? EXIT_STOPPED : outcome.failed ? EXIT_SOME_FAILED : 0;
}

static int run_ranks(struct drop_search_settings *settings) {
    struct dist *dist = NULL;
    struct tr_err err = {0};
    char *out = NULL; // where OUT leads to now: its links may change while the job runs
    enum tr_status status = tr_file_target(&out, settings->run.out, &err);
    if (status == TR_OK)
        status = dist_open(&dist, &err);
    if (status != TR_OK) {
        tr_complain_of_job("trace-drop search", &err, status);
        free(out);
        return EXIT_ENVIRONMENT;
    }
    settings->run.out = out;
    // Every rank leaves with the highest code, so that mpirun does too.
    double code = run(settings, dist);
    dist_max(dist, &code, 1);
    dist_close(dist);
    free(out);
    return (int)code;
}

int tr_drop_search(const struct program *program, int argc, char **argv) {
    struct drop_search_settings settings = tr_search_defaults();
    char *command = tr_command_line(argc, argv); // before getopt sorts it
    program_parse(program, &settings, argc, argv, tr_is_first_rank());
    settings.run.command = command ? command : "trace-drop search";
    settings.run.stop = tr_interrupt_flag();
    settings.run.search = &settings.wishes;
    int code = run_ranks(&settings);
    free(command);
    free(settings.run.paths);
    return code;
}
