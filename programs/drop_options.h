// SPDX-License-Identifier: Apache-2.0
#ifndef TR_DROP_OPTIONS_H
#define TR_DROP_OPTIONS_H

#include "drop/write.h"
#include "option.h"

// What trace-drop write's command line sets. `write.form` follows of the two words when all is
// read.
struct drop_write_settings {
    struct tr_drop_write_options write;
    const char *as, *dialect;
};

#endif
