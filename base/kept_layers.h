// SPDX-License-Identifier: Apache-2.0
#ifndef TR_KEPT_LAYERS_H
#define TR_KEPT_LAYERS_H

#include "base/drop_set.h"

// What tr_drop_set_read takes as MODULE/LAYERS@FILE; the argument has an '@'.
enum tr_status tr_kept_layers_read(struct tr_drop_set *set, const char *argument,
                                   struct tr_err *err);

#endif
