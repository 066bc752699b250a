// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PLANNERS_H
#define TR_PLANNERS_H

#include "slabs/bind.h"

// What each kind of slab holds: rows of the table in slab.c.
typedef enum tr_status tr_plan_func(const struct tr_binder *binder, struct tr_slab_plan *slab);

tr_plan_func tr_plan_panel; // vocabulary rows [first_id, last_id) of the embedding or the head
tr_plan_func tr_plan_positions, tr_plan_embed_norm, tr_plan_head_dense;
tr_plan_func tr_plan_attention, tr_plan_scan;
tr_plan_func tr_plan_mlp, tr_plan_router, tr_plan_experts;

#endif
