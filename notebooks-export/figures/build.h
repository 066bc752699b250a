// SPDX-License-Identifier: Apache-2.0
#ifndef NX_BUILD_H
#define NX_BUILD_H

#include "figures/figures.h"

// What the builders share.

// An x axis with a column for each checkpoint, named by tokens or step.
void nx_checkpoint_columns(struct nx_panel *panel, const struct nx_data *data);

// An x axis on which the checkpoints lie at their tokens or step.
void nx_checkpoint_places(struct nx_panel *panel, const struct nx_data *data);

// Only the lowest panel says what the x axis is.
void nx_label_last(struct nx_figure *figure);

#endif
