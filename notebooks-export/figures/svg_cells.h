// SPDX-License-Identifier: Apache-2.0
#ifndef NX_SVG_CELLS_H
#define NX_SVG_CELLS_H

#include "figures/layout.h"

// The cells of a panel of NX_CELLS, coloured by `bar`; what is NaN is grey.
enum tr_status nx_svg_cells(struct tr_string *out, const struct nx_panel *panel,
                            const struct nx_axis *bar, const struct nx_box *box,
                            struct tr_err *err);

#endif
