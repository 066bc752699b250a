// SPDX-License-Identifier: Apache-2.0
#include "store/utf8.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"

enum tr_status tr_utf8_copy(char **copy_p, const char *text, struct tr_err *err) {
    if (tr_utf8_valid(text, strlen(text)))
        return tr_strdup(copy_p, text, err);
    char *copy;
    TR_TRY(TR_NEW(&copy, 3 * strlen(text) + 1, "a string", err));
    char *to = copy;
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        to += sprintf(to, byte < 0x80 ? "%c" : "%%%02X", byte);
    }
    *copy_p = copy;
    return TR_OK;
}
