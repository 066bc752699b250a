// SPDX-License-Identifier: Apache-2.0
#ifndef TR_SEARCH_OPTIONS_H
#define TR_SEARCH_OPTIONS_H

#include "option.h"
#include "run/search_plan.h"
#include "run/settings.h"

// What trace-drop search's command line sets. `run.search` is the caller's to point at `wishes`.
struct drop_search_settings {
    struct tr_run_settings run; // first: rows of trace-ckpts read into it
    struct tr_search_wishes wishes;
    const char *plan, *json; // files; NULL: not given
};

struct drop_search_settings tr_search_defaults(void);

#endif
