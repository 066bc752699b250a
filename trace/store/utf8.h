// SPDX-License-Identifier: Apache-2.0
#ifndef TR_STORE_UTF8_H
#define TR_STORE_UTF8_H

#include "base/status.h"

// A copy of `text` that is UTF-8, freed with free(): itself when it is, else with every byte from
// 0x80 on written as %XX, so that different names of directories stay different.
enum tr_status tr_utf8_copy(char **copy_p, const char *text, struct tr_err *err);

#endif
