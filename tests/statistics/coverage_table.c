// SPDX-License-Identifier: Apache-2.0
#include "coverage_table.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

int simulations = FULL;
struct an_random random_state;
static int failures;
static uint64_t seeded;

void coverage_arguments(int argc, char **argv, uint64_t seed, int most) {
    if (argc > 1)
        simulations = atoi(argv[1]) < most ? atoi(argv[1]) : most;
    seeded = argc > 2 ? strtoull(argv[2], NULL, 10) : seed;
    an_random_seed(&random_state, seeded);
}

void coverage_head(const char *more) {
    printf("%d simulations, seed %llu, %s%s\n\n"
           "| what | where | %% | asked | met |\n|---|---|---|---|---|\n",
           simulations, (unsigned long long)seeded, AN_GENERATOR, more);
}

void line(const char *what, const char *where, double happened, double of, double least,
          double most) {
    double share = 100.0 * happened / of;
    double slack = 300.0 * sqrt(0.05 * 0.95) * (1.0 / sqrt(simulations) - 1.0 / sqrt(FULL));
    bool asked = least > 0.0 || most < 100.0;
    bool good = !asked || (share >= least - fmax(slack, 0.0) && share <= most + fmax(slack, 0.0));
    failures += !good;
    // A digit more where it missed, so that 97.05 does not read as the 97 that was asked.
    printf("| %s | %s | %.*f | ", what, where, good ? 1 : 2, share);
    if (asked)
        printf("%g-%g | %s |\n", least, most, good ? "yes" : "**no**");
    else
        printf("| |\n");
    fflush(stdout);
}

int coverage_status(void) {
    return failures > 0;
}

void must(enum tr_status status, const struct tr_err *err) {
    if (status == TR_OK)
        return;
    fprintf(stderr, "coverage: %s\n", err->text);
    exit(3);
}
