// SPDX-License-Identifier: Apache-2.0
#include "version.h"

// The build says these (cmake/TraceVersion.cmake).
static const char *const parts[][2] = {
    {"commit", TRACE_BUILD_COMMIT}, {"compiler", TRACE_BUILD_COMPILER}, {"MPI", TRACE_BUILD_MPI},
    {"CUDA", TRACE_BUILD_CUDA},     {"BLAS", TRACE_BUILD_BLAS},         {"HDF5", TRACE_BUILD_HDF5},
};

const char *program_version_text(void) {
    return TRACE_VERSION;
}

const char *program_build_text(void) {
    return "commit " TRACE_BUILD_COMMIT ", " TRACE_BUILD_COMPILER ", MPI " TRACE_BUILD_MPI
           ", CUDA " TRACE_BUILD_CUDA ", BLAS " TRACE_BUILD_BLAS ", HDF5 " TRACE_BUILD_HDF5;
}

void program_version(const char *name, FILE *out) {
    fprintf(out, "%s " TRACE_VERSION "\n", name);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        fprintf(out, "  %-9s %s\n", parts[i][0], parts[i][1]);
}
