// SPDX-License-Identifier: Apache-2.0
#ifndef NX_BUILD_H
#define NX_BUILD_H

#include "figures/figures.h"

// What the builders share.

// An x axis with a column for each checkpoint, named by tokens or step.
void nx_checkpoint_columns(struct nx_panel *panel, const struct nx_data *data);

// An x axis on which the checkpoints lie at their tokens or step.
void nx_checkpoint_places(struct nx_panel *panel, const struct nx_data *data);

#define NX_IMPORTANCE "1 \xe2\x88\x92 cos"

// How figures name a thing that layers are ranked by.
struct nx_ranked {
    const char *noun, *axis, *quantity; // "Importance"; "Importance 1 - cos (no unit)"; "1 - cos"
};
enum an_by nx_ranked_of(const struct nx_data *data);
const struct nx_ranked *nx_ranked_by(const struct nx_data *data);

// An axis of it, which all shown modules share.
struct nx_axis nx_ranked_axis(const struct nx_data *data);
// The same of importance, whatever is ranked by.
struct nx_axis nx_importance_axis(const struct nx_data *data);

// The colour of what is ranked by, or of a cost: the same in all figures.
struct nx_row nx_criterion_row(enum an_by by);

// Names the layer of a row. The layers of the set that the analysis chose have their colour by
// depth, all others are faint.
void nx_paint_layer(struct nx_row *style, const struct nx_data *data, int module, int64_t row);

// Colours a row by its layer's depth.
void nx_paint_depth(struct nx_row *style, const struct nx_data *data, int64_t row);

// Appends " Coloured: the least important layers by ..."
enum tr_status nx_name_rule(struct tr_string *caption, const struct nx_data *data,
                            struct tr_err *err);

// Only the lowest panel says what the x axis is.
void nx_label_last(struct nx_figure *figure);

#endif
