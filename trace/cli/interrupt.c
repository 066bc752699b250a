// SPDX-License-Identifier: Apache-2.0
#include "interrupt.h"

#include <signal.h>

#include "file.h"

// The signal is blocked here, its action the default one again: it ends the program on return.
static void on_signal(int number) {
    tr_file_abandon();
    raise(number);
}

void tr_interrupt_catch(void) {
    static const int numbers[] = {SIGHUP, SIGINT, SIGTERM, SIGPIPE, SIGXFSZ};
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
        struct sigaction before;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
}
