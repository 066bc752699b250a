// SPDX-License-Identifier: Apache-2.0
#include "exit.h"

int tr_exit_code(enum tr_status status) {
    switch (status) {
    case TR_OK:
        return 0;
    case TR_EUSAGE:
        return EXIT_USAGE;
    case TR_EFORMAT:
    case TR_EUNSUPPORTED:
        return EXIT_SOME_FAILED;
    default:
        return EXIT_ENVIRONMENT;
    }
}
