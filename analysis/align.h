// SPDX-License-Identifier: Apache-2.0
#ifndef AN_ALIGN_H
#define AN_ALIGN_H

#include "analysis/compare.h"

// Sets the comparison's axis and pairs. TR_EUSAGE when there are none.
enum tr_status an_align(struct an_comparison *comparison, const struct an_series *first,
                        const struct an_series *second, struct tr_err *err);

#endif
