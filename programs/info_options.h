// SPDX-License-Identifier: Apache-2.0
#ifndef TR_INFO_OPTIONS_H
#define TR_INFO_OPTIONS_H

#include "option.h"

// trace-info's command line.
struct info_options {
    const char *path;
    bool check; // all of it is read and verified
};

#endif
