// SPDX-License-Identifier: Apache-2.0
#include "leave.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/printable.h"
#include "exit.h"

// At most `most` bytes, without cutting a character that UTF-8 writes as several.
static size_t whole_characters(const char *text, size_t most) {
    size_t size = strnlen(text, most), whole = size;
    while (text[whole] && whole && ((unsigned char)text[whole] & 0xc0) == 0x80)
        whole--;
    return whole ? whole : size;
}

// Piece by piece, since what there is to say may be that there is no memory.
void tr_tell(FILE *stream, const char *text) {
    char piece[1024];
    for (size_t size; (size = whole_characters(text, sizeof piece - 1)); text += size) {
        memcpy(piece, text, size);
        piece[size] = 0;
        fwrite(piece, 1, tr_printable(piece, size, "\n"), stream);
    }
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
