// SPDX-License-Identifier: Apache-2.0
// trace-quant: a checkpoint in few bits.
#include <stdio.h>
#include <stdlib.h>

#include "ckpts_options.h"
#include "exit.h"
#include "interrupt.h"
#include "leave.h"
#include "mpi/dist.h"
#include "quant_options.h"
#include "ranks.h"
#include "version.h"

static int run(const struct tr_quant_settings *settings, struct dist *dist) {
    struct tr_string told = {0};
    struct tr_err err = {0};
    bool stopped = false;
    enum tr_status status = tr_quantize(settings, dist, &stopped, &told, &err);
    stopped = stopped || *settings->run.stop != 0;
    if (status == TR_OK && told.data)
        tr_tell(stdout, told.data);
    tr_string_free(&told);
    if (status != TR_OK && !stopped)
        return tr_complain_of_job("trace-quant", &err, status);
    if (status != TR_OK)
        tr_complain("trace-quant", &err);
    return stopped ? EXIT_STOPPED : EXIT_SUCCESS;
}

static int run_ranks(const struct tr_quant_settings *settings) {
    struct dist *dist = NULL;
    struct tr_err err = {0};
    enum tr_status status = dist_open(&dist, &err);
    if (status != TR_OK) {
        tr_complain_of_job("trace-quant", &err, status);
        return EXIT_ENVIRONMENT;
    }
    // Every rank leaves with the highest code, so that mpirun does too.
    double code = run(settings, dist);
    dist_max(dist, &code, 1);
    dist_close(dist);
    return (int)code;
}

static const char *made_by(void) {
    static char text[64];
    snprintf(text, sizeof text, "trace-quant %s", program_version_text());
    return text;
}

int main(int argc, char **argv) {
    struct tr_quant_settings settings = tr_quant_defaults();
    char *command = tr_command_line(argc, argv); // before getopt sorts it
    program_parse(&trace_quant_program, &settings, argc, argv, tr_is_first_rank());
    settings.run.command = command ? command : "trace-quant";
    settings.run.stop = tr_interrupt_flag();
    settings.made_by = made_by();
    settings.grid.symmetric = !settings.asymmetric;
    settings.grid.clip |= settings.method == TR_QUANT_AWQ && !settings.no_clip;
    int code = run_ranks(&settings);
    free(command);
    free(settings.run.paths);
    return code;
}
