// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <time.h>

double tr_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void tr_sleep(double seconds) {
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    nanosleep(&time, NULL);
}

char *tr_time_iso(char out[TR_TIME_MAX]) {
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(out, TR_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return out;
}
