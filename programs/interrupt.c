// SPDX-License-Identifier: Apache-2.0
#include "interrupt.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

static volatile sig_atomic_t requests;
static char removed[PATH_MAX]; // by the handler, which looks at it only while it is set
static volatile sig_atomic_t removes;

// The signal is blocked here, its action the default one again: it ends the program on return.
static void abandon(int number) {
    tr_file_abandon();
    raise(number);
}

static void count_request(int number) {
    if (removes)
        unlink(removed);
    if (requests++ && number == SIGINT) {
        signal(SIGINT, SIG_DFL);
        raise(SIGINT);
    }
}

// Signals that the program was started to ignore (nohup) stay ignored.
static void catch_with(const int *numbers, size_t count, void (*handler)(int), int flags) {
    for (size_t i = 0; i < count; i++) {
        struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, before;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
}

// A file above the shell's limit: the write fails, which is told as any other is.
static void let_large_files_fail(void) {
    signal(SIGXFSZ, SIG_IGN);
}

void tr_interrupt_catch(void) {
    static const int numbers[] = {SIGHUP, SIGINT, SIGTERM, SIGPIPE};
    catch_with(numbers, sizeof numbers / sizeof numbers[0], abandon, (int)SA_RESETHAND);
    let_large_files_fail();
}

// SIGUSR1 and 2 announce a time limit (Slurm, LSF, SGE), SIGXCPU is one, SIGHUP a lost terminal.
const volatile sig_atomic_t *tr_interrupt_flag(void) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP, SIGXCPU};
    catch_with(numbers, sizeof numbers / sizeof numbers[0], count_request, SA_RESTART);
    let_large_files_fail();
    return &requests;
}

void tr_interrupt_removes(const char *path) {
    removes = 0;
    if (!path || strlen(path) >= sizeof removed)
        return;
    strcpy(removed, path);
    removes = 1;
}
