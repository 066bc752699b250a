// SPDX-License-Identifier: Apache-2.0
// Linked before the MPI library: an MPI that offers no MPI_THREAD_MULTIPLE.
#include <mpi.h>

int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
    (void)required;
    return PMPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, provided);
}
