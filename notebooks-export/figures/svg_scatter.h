// SPDX-License-Identifier: Apache-2.0
#ifndef NX_SVG_SCATTER_H
#define NX_SVG_SCATTER_H

#include "figures/figure.h"
#include "figures/layout.h"

// The points of a panel at its column `shown`: for each row a group of class "unit" with its
// interval and its dot, then for each row its label, the last word of its name. A row without a
// value there, and a label for which there is no room, is there and not displayed, so that the
// page's script, which places them by the same rules, can move them to another column.
enum tr_status nx_svg_scatter(struct tr_string *out, const struct nx_panel *panel,
                              const struct nx_box *box, struct tr_err *err);

#endif
