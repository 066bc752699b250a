// SPDX-License-Identifier: Apache-2.0
#include "leave.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/printable.h"
#include "base/strings.h"
#include "exit.h"

void tr_tell(FILE *stream, const char *text) {
    struct tr_string copy = {0};
    if (tr_string_append(&copy, text, strlen(text), NULL) == TR_OK)
        fwrite(copy.data, 1, tr_printable(copy.data, copy.size, "\n"), stream);
    tr_string_free(&copy);
}

static const char *leaving; // whose end is looked at
static bool has_complained;

void tr_complain(const char *program, const struct tr_err *err) {
    if (!*err->text)
        return;
    fprintf(stderr, "%s: ", program);
    tr_tell(stderr, err->text);
    fputc('\n', stderr);
    has_complained = true;
}

// A program that has said why it fails has its own code.
static void look_at_stdout(void) {
    struct tr_err err;
    errno = 0;
    bool failed = fflush(stdout) != 0;
    if ((!failed && !ferror(stdout)) || has_complained)
        return;
    tr_fail(&err, TR_EIO, "cannot write to stdout%s%s", errno ? ": " : "",
            errno ? strerror(errno) : "");
    tr_complain(leaving, &err);
    _exit(EXIT_ENVIRONMENT);
}

void tr_leave_checked(const char *program) {
    leaving = program;
    atexit(look_at_stdout);
}
