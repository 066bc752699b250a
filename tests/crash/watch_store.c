// SPDX-License-Identifier: Apache-2.0
// watch_store OUT: opens OUT and reads all of it again and again while a job writes it, until stdin
// ends. Prints how often it read how many rows at most; exit 1 when a reading fails, when a row
// that was seen is gone, or when a row differs from what it was.
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/digest.h"
#include "base/file.h"
#include "store/store.h"

enum { MAX_ROWS = 4096, PAUSE_MS = 5 };

struct seen {
    char name[256], digest[TR_DIGEST_MAX];
    long round; // the last one it was in
};
static struct seen rows[MAX_ROWS];
static int row_count;

static enum tr_status digest_row(const struct tr_row *row, const struct tr_layout *layout,
                                 char out[TR_DIGEST_MAX], struct tr_err *err) {
    struct tr_digest *digest;
    TR_TRY(tr_digest_new(&digest, err));
    for (enum tr_variable_id id = 0; id < TR_VARIABLES; id++) {
        if (!row->data[id])
            continue;
        if (tr_variables[id].type == TR_VALUE_STRING)
            tr_digest_update(digest, tr_row_string(row, id), strlen(tr_row_string(row, id)) + 1);
        else
            tr_digest_update(digest, row->data[id],
                             (size_t)tr_variable_elements(id, layout) *
                                 tr_value_size(tr_variables[id].type));
    }
    tr_digest_text(digest, out);
    tr_digest_free(digest);
    return TR_OK;
}

static enum tr_status compare(const char *name, const char *digest, long round,
                              struct tr_err *err) {
    int i = 0;
    while (i < row_count && strcmp(rows[i].name, name))
        i++;
    if (i == MAX_ROWS)
        return tr_fail(err, TR_EUSAGE, "more than %d rows", MAX_ROWS);
    if (i == row_count) {
        snprintf(rows[i].name, sizeof rows[i].name, "%s", name);
        strcpy(rows[i].digest, digest);
        row_count++;
    }
    rows[i].round = round;
    return strcmp(rows[i].digest, digest) ? tr_fail(err, TR_ECONFLICT, "row %s changed", name)
                                          : TR_OK;
}

static enum tr_status read_rows(const struct tr_trace *trace, long round, struct tr_err *err) {
    for (int64_t i = 0; i < tr_trace_rows(trace); i++) {
        struct tr_row row;
        char text[TR_DIGEST_MAX];
        TR_TRY(tr_trace_row(trace, i, &row, err));
        enum tr_status status = digest_row(&row, &tr_trace_info(trace)->layout, text, err);
        tr_row_free(&row);
        TR_TRY(status);
        TR_TRY(compare(tr_trace_string(trace, TR_V_NAME, i), text, round, err));
    }
    for (int i = 0; i < row_count; i++)
        if (rows[i].round != round)
            return tr_fail(err, TR_ECONFLICT, "row %s is gone", rows[i].name);
    return TR_OK;
}

static enum tr_status read_once(const char *path, long round, struct tr_err *err) {
    struct tr_trace *trace;
    TR_TRY(tr_trace_open(&trace, path, err));
    enum tr_status status = read_rows(trace, round, err);
    tr_trace_close(trace);
    return status;
}

static bool stdin_ended(void) {
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&in, 1, PAUSE_MS) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

int main(int argc, char **argv) {
    struct tr_err err = {.text = "usage: watch_store OUT"};
    long rounds = 0;
    enum tr_status status = argc == 2 ? TR_OK : TR_EUSAGE;
    while (status == TR_OK && !stdin_ended())
        if (tr_file_exists(argv[1]))
            status = read_once(argv[1], ++rounds, &err);
    printf("%ld readings, %d rows\n", rounds, row_count);
    if (status != TR_OK)
        fprintf(stderr, "watch_store: %s\n", err.text);
    return status == TR_OK ? 0 : 1;
}
