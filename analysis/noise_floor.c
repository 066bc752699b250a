// SPDX-License-Identifier: Apache-2.0
#include "analysis/noise_floor.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static const struct {
    const char *dtype;
    double floor;
} floors[] = {{"bf16", 2.6e-3}, {"f16", 4.7e-5}};

double an_noise_floor(const char *dtype) {
    for (size_t i = 0; i < sizeof floors / sizeof *floors; i++)
        if (strcmp(dtype, floors[i].dtype) == 0)
            return floors[i].floor;
    return NAN;
}
