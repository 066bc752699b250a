// SPDX-License-Identifier: Apache-2.0
#include "base64.h"

#include <stdint.h>
#include <string.h>

static int digit_of(char letter) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = letter ? strchr(digits, letter) : NULL;
    return found ? (int)(found - digits) : -1;
}

enum tr_status tr_base64_decode(const char *text, size_t size, struct tr_string *out, bool *valid_p,
                                struct tr_err *err) {
    *valid_p = false;
    if (size % 4)
        return TR_OK;
    size_t padding = size && text[size - 1] == '=' ? 1 + (text[size - 2] == '=') : 0;
    for (size_t at = 0; at < size; at += 4) {
        size_t pads = at + 4 == size ? padding : 0;
        uint32_t group = 0;
        for (size_t i = 0; i < 4; i++) {
            int digit = i < 4 - pads ? digit_of(text[at + i]) : 0;
            if (digit < 0)
                return TR_OK;
            group = group << 6 | (uint32_t)digit;
        }
        char bytes[3] = {(char)(group >> 16), (char)(group >> 8), (char)group};
        TR_TRY(tr_string_append(out, bytes, 3 - pads, err));
    }
    *valid_p = true;
    return TR_OK;
}
