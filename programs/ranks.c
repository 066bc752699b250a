// SPDX-License-Identifier: Apache-2.0
#include "ranks.h"

#include <stdlib.h>
#include <string.h>

#include "exit.h"
#include "leave.h"

bool tr_is_first_rank(void) {
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                            "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        if (getenv(variables[i]))
            return strcmp(getenv(variables[i]), "0") == 0;
    return true;
}

int tr_complain_of_job(const char *program, const struct tr_err *err, enum tr_status status) {
    tr_complain(program, err);
    if (status == TR_EFORMAT || status == TR_EUNSUPPORTED)
        return EXIT_SOME_FAILED;
    return tr_exit_code(status);
}
