// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/printable.h"

enum tr_status tr_fail(struct tr_err *err, enum tr_status code, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        tr_printable(err->text, strlen(err->text), "");
        err->code = code;
    }
    return code;
}

const char *tr_status_text(enum tr_status code) {
#define TR_STATUS_CASE(name, value, text)                                                          \
    case name:                                                                                     \
        return text;
    switch (code) { TR_STATUS_LIST(TR_STATUS_CASE) }
#undef TR_STATUS_CASE
    return "unknown status";
}
