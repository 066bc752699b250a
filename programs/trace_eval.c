// SPDX-License-Identifier: Apache-2.0
// trace-eval: what leaving out sublayers costs, on a text and on tasks.
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "ckpts_options.h"
#include "eval/text_costs.h"
#include "eval_options.h"
#include "exit.h"
#include "interrupt.h"
#include "leave.h"
#include "mpi/dist.h"
#include "ranks.h"
#include "run/run.h"

// The text is measured by all ranks, as a trace with drop sets.
static int measure_text(const struct eval_options *options, struct dist *dist,
                        struct tr_string *page) {
    struct tr_run_settings settings = options->evaluation.run;
    struct tr_run_outcome outcome;
    struct tr_err err = {0};
    if ((options->drop_sets.size || settings.cost) && !settings.cost_samples)
        settings.cost_samples = INT64_C(1) << 53; // all rows
    enum tr_status status = tr_run(&settings, dist, &outcome, &err);
    if (status == TR_OK && dist_rank(dist) == 0 && tr_file_exists(settings.out))
        status = tr_text_costs_table(settings.out, options->evaluation.level, page, &err);
    if (status != TR_OK)
        return tr_complain_of_job("trace-eval", &err, status);
    return outcome.stopped ? EXIT_STOPPED : outcome.failed ? EXIT_SOME_FAILED : 0;
}

static int evaluate(const struct eval_options *options, struct dist *dist, struct tr_string *page) {
    struct tr_evaluation_outcome outcome;
    struct tr_err err = {0};
    enum tr_status status = TR_OK;
    if (page->size)
        status = tr_string_format(page, &err, "\n");
    if (status == TR_OK)
        status = tr_evaluate(&options->evaluation, dist, &outcome, page, &err);
    if (status != TR_OK)
        return tr_complain_of_job("trace-eval", &err, status);
    return outcome.stopped ? EXIT_STOPPED : outcome.failed ? EXIT_SOME_FAILED : 0;
}

static int run(const struct eval_options *options, struct dist *dist) {
    struct tr_string page = {0};
    bool has_tasks = tr_eval_has_tasks(options) || options->evaluation.stride;
    int code = tr_eval_has_text(options) ? measure_text(options, dist, &page) : 0;
    if (has_tasks && dist_all_ok(dist, code == 0 || code == EXIT_SOME_FAILED)) {
        int tasks = evaluate(options, dist, &page);
        code = tasks > code ? tasks : code;
    }
    if (page.data && dist_rank(dist) == 0)
        tr_tell(stdout, page.data);
    tr_string_free(&page);
    return code;
}

// Where files go: OUT, whose links may change while the job runs, and the folder beside it.
static enum tr_status place(struct eval_options *options, char **out_p, struct tr_string *folder,
                            struct tr_err *err) {
    TR_TRY(tr_file_target(out_p, options->evaluation.run.out, err));
    options->evaluation.run.out = *out_p;
    TR_TRY(tr_string_format(folder, err, "%s.tasks", *out_p));
    if (!options->evaluation.folder)
        options->evaluation.folder = folder->data;
    return TR_OK;
}

static int run_ranks(struct eval_options *options) {
    struct dist *dist = NULL;
    struct tr_string folder = {0};
    struct tr_err err = {0};
    char *out = NULL;
    enum tr_status status = place(options, &out, &folder, &err);
    if (status == TR_OK)
        status = dist_open(&dist, &err);
    double code = EXIT_ENVIRONMENT;
    if (status == TR_OK) {
        // Every rank leaves with the highest code, so that mpirun does too.
        code = run(options, dist);
        dist_max(dist, &code, 1);
        dist_close(dist);
    } else {
        tr_complain_of_job("trace-eval", &err, status);
    }
    tr_string_free(&folder);
    free(out);
    return (int)code;
}

int main(int argc, char **argv) {
    struct eval_options options = tr_eval_defaults();
    char *command = tr_command_line(argc, argv); // before getopt sorts it
    program_parse(&trace_eval_program, &options, argc, argv, tr_is_first_rank());
    options.evaluation.run.command = command ? command : "trace-eval";
    options.evaluation.run.stop = tr_interrupt_flag();
    options.evaluation.run.remove_on_stop = tr_interrupt_removes;
    options.evaluation.run.drop_sets_text = options.drop_sets.data;
    options.evaluation.run.set_distances = true;
    int code = run_ranks(&options);
    free(command);
    free(options.evaluation.run.paths);
    free(options.evaluation.task_files);
    free(options.evaluation.prompt_files);
    tr_string_free(&options.drop_sets);
    return code;
}
