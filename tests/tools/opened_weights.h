// SPDX-License-Identifier: Apache-2.0
// A checkpoint's weights on a device, opened as a program's command line names both.
#ifndef OPENED_WEIGHTS_H
#define OPENED_WEIGHTS_H

#include "model/pass_weights.h"

struct opened_weights {
    struct kn_backend *kn;
    struct tr_pass_weights weights;
};

// Ends the program unless `holds`, with a line of `what` and the error's sentence.
void require(bool holds, const char *what, const struct tr_err *err);

// Opens words[0], a FOLDER, on words[1], cpu or cuda, with operands of type words[2], f32, f16 or
// bf16; ends the program where it cannot. OMP_NUM_THREADS threads, else as many as there are
// processors.
void opened_weights_open(struct opened_weights *opened, char *const words[3], struct tr_err *err);

void opened_weights_close(struct opened_weights *opened);

#endif
