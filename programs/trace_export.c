// SPDX-License-Identifier: Apache-2.0
// trace-export: a trace in the formats that others read.
#include <stdlib.h>
#include <string.h>

#include "exit.h"
#include "export/export.h"
#include "export/follow.h"
#include "interrupt.h"
#include "leave.h"
#include "option.h"

static void tell(const char *notes, const char *path) {
    if (notes)
        tr_tell(stderr, notes);
    if (!path)
        return;
    fputs("wrote ", stderr);
    tr_tell(stderr, path);
    fputc('\n', stderr);
}

static enum tr_status follow(const struct nx_options *options, struct tr_err *err) {
    const struct nx_follower follower = {.stop = tr_interrupt_flag(), .period = 0.5, .tell = tell};
    return nx_follow(options, &follower, err);
}

static enum tr_status export_once(const struct nx_options *options, struct tr_err *err) {
    struct tr_string notes = {0};
    char *path = NULL;
    enum tr_status status = nx_export(options, &notes, &path, err);
    tell(notes.data, path);
    tr_string_free(&notes);
    free(path);
    return status;
}

int main(int argc, char **argv) {
    struct nx_options options = {0};
    struct tr_err err;
    program_parse(&trace_export_program, &options, argc, argv, true);
    tr_interrupt_catch();
    enum tr_status status = options.follow ? follow(&options, &err) : export_once(&options, &err);
    if (status == TR_OK)
        return EXIT_SUCCESS;
    tr_complain("trace-export", &err);
    return tr_exit_code(status);
}
