// SPDX-License-Identifier: Apache-2.0
// trace-merge: stores of one series that were traced apart, into one.
#include <stdlib.h>

#include "exit.h"
#include "interrupt.h"
#include "leave.h"
#include "merge_options.h"
#include "option.h"

static void tell(const struct merge_options *options, int64_t rows) {
    struct tr_string text = {0};
    if (options->quiet ||
        tr_string_format(&text, NULL, "merged %lld checkpoint%s of %lld file%s into %s\n",
                         (long long)rows, rows == 1 ? "" : "s", (long long)options->merging.count,
                         options->merging.count == 1 ? "" : "s", options->merging.out) != TR_OK)
        return;
    tr_tell(stderr, text.data);
    tr_string_free(&text);
}

int main(int argc, char **argv) {
    struct merge_options options = {0};
    struct tr_string notes = {0};
    struct tr_err err;
    int64_t rows;
    program_parse(&trace_merge_program, &options, argc, argv, true);
    tr_interrupt_catch();
    enum tr_status status = tr_store_merge(&options.merging, &rows, &notes, &err);
    if (notes.data)
        tr_tell(stderr, notes.data);
    if (status == TR_OK)
        tell(&options, rows);
    else
        tr_complain("trace-merge", &err);
    tr_string_free(&notes);
    free(options.merging.inputs);
    return tr_exit_code(status);
}
