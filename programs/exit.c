// SPDX-License-Identifier: Apache-2.0
#include "exit.h"

int tr_exit_code(enum tr_status status) {
    return status == TR_OK ? 0 : status == TR_EUSAGE ? EXIT_USAGE : EXIT_ENVIRONMENT;
}
