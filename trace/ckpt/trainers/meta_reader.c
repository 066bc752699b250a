// SPDX-License-Identifier: Apache-2.0
// Opens Meta's own checkpoints: consolidated.NN.pth, one for each rank of model parallelism.
#include <stdio.h>

#include "reader.h"

enum { RANKS = 100 };

enum tr_status tr_read_meta(struct tr_checkpoint *checkpoint, const char *name,
                            struct tr_err *err) {
    bool more = true;
    char file[32];
    (void)name;
    for (int rank = 0; rank < RANKS && more; rank++) {
        snprintf(file, sizeof file, "consolidated.%02d.pth", rank);
        TR_TRY(tr_folder_has(checkpoint->folder, file, &more, err));
        if (!more)
            break;
        TR_TRY(tr_add_torch(checkpoint, file, err));
        checkpoint->model_parallel = rank + 1;
    }
    return tr_checkpoint_sort(checkpoint, err);
}
