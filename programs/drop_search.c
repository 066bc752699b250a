// SPDX-License-Identifier: Apache-2.0
// trace-drop search: rounds by all ranks, and what they found.
#include "drop_search.h"

#include <stdio.h>
#include <stdlib.h>

#include "analysis/search_result.h"
#include "base/file.h"
#include "base/json.h"
#include "ckpts_options.h"
#include "exit.h"
#include "interrupt.h"
#include "leave.h"
#include "mpi/dist.h"
#include "ranks.h"
#include "search/greedy_search.h"
#include "search_options.h"

// ---- what was found ----------------------------------------------------------------------------

static enum tr_status write_files(const struct drop_search_settings *settings,
                                  const struct an_search *search, struct tr_err *err) {
    json_t *value;
    if (settings->plan) {
        TR_TRY(an_search_plan(&value, search, err));
        TR_TRY(tr_json_save(value, JSON_COMPACT, settings->plan, err));
    }
    if (!settings->json)
        return TR_OK;
    TR_TRY(an_search_json(&value, search, err));
    return tr_json_save(value, JSON_COMPACT, settings->json, err);
}

static enum tr_status tell(const struct drop_search_settings *settings, struct tr_err *err) {
    enum { WIDTH = 80 };
    struct tr_trace *trace;
    struct an_search search = {0};
    struct tr_string page = {0};
    TR_TRY(tr_trace_open(&trace, settings->run.out, err));
    enum tr_status status = an_search_load(&search, trace, settings->run.out, err);
    if (status == TR_OK)
        status = write_files(settings, &search, err);
    if (status == TR_OK)
        status = an_search_write(&search, AN_TEXT, WIDTH, &page, err);
    if (status == TR_OK && page.data)
        tr_tell(stdout, page.data);
    tr_string_free(&page);
    an_search_free(&search);
    tr_trace_close(trace);
    return status;
}

// What is there and was not written by this program stays, before any work.
static enum tr_status keep_other(const char *option, const char *path, struct tr_err *err) {
    if (!path || !tr_file_holds_other(path, '{'))
        return TR_OK;
    return tr_fail(err, TR_ECONFLICT, "%s is no JSON; --%s does not write over it", path, option);
}

// ---- the search --------------------------------------------------------------------------------

static int run(const struct drop_search_settings *settings, struct dist *dist) {
    struct tr_run_outcome outcome = {0};
    struct tr_err err = {0};
    enum tr_status status = tr_search(&settings->run, dist, &outcome, &err);
    bool first = dist_rank(dist) == 0;
    if (status == TR_OK && first && !settings->run.dry_run && tr_file_exists(settings->run.out))
        status = tell(settings, &err);
    if (status != TR_OK)
        return tr_complain_of_job("trace-drop search", &err, status);
    return outcome.stopped ? EXIT_STOPPED : outcome.failed ? EXIT_SOME_FAILED : 0;
}

static int run_ranks(struct drop_search_settings *settings) {
    struct dist *dist = NULL;
    struct tr_err err = {0};
    char *out = NULL; // where OUT leads to now: its links may change while the job runs
    enum tr_status status = keep_other("plan", settings->plan, &err);
    if (status == TR_OK)
        status = keep_other("json", settings->json, &err);
    if (status == TR_OK)
        status = tr_file_target(&out, settings->run.out, &err);
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
    settings.run.remove_on_stop = tr_interrupt_removes;
    settings.run.search = &settings.wishes;
    int code = run_ranks(&settings);
    free(command);
    free(settings.run.paths);
    return code;
}
