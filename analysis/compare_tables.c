// SPDX-License-Identifier: Apache-2.0
#include "result_tables.h"

static const struct an_json_field compared_unit_fields[] = {
    AN_FIELD("layer", INTEGER, struct an_compared_unit, layer),
    AN_NAME("module", struct an_compared_unit, module, tr_module_names, TR_MODULES),
    AN_ESTIMATE("first", struct an_compared_unit, first),
    AN_ESTIMATE("second", struct an_compared_unit, second),
    AN_ESTIMATE("difference", struct an_compared_unit, difference),
};
static const struct an_json_table compared_unit =
    AN_TABLE(struct an_compared_unit, compared_unit_fields);

static const struct an_json_field compared_group_fields[] = {
    AN_NAME("module", struct an_compared_group, group, an_group_names, AN_GROUPS),
    AN_FIELD("count", INTEGER, struct an_compared_group, count),
    AN_ESTIMATE("jaccard", struct an_compared_group, jaccard),
    AN_FIELD("jaccard_chance", REAL, struct an_compared_group, jaccard_chance),
    AN_ESTIMATE("spearman", struct an_compared_group, spearman),
    AN_ESTIMATE("tau_b", struct an_compared_group, tau),
    AN_LIST("units", struct an_compared_group, unit, units, &compared_unit),
};
static const struct an_json_table compared_group =
    AN_TABLE(struct an_compared_group, compared_group_fields);

static const struct an_json_field pair_fields[] = {
    AN_FIELD("first", INTEGER, struct an_pair, first),
    AN_FIELD("second", INTEGER, struct an_pair, second),
};
static const struct an_json_table pair = AN_TABLE(struct an_pair, pair_fields);

static json_t *make_other(const void *comparison, const void *context) {
    (void)comparison;
    return json_string(((const struct an_json_context *)context)->other);
}

static const struct an_json_field comparison_fields[] = {
    AN_MADE("path", make_other, "string"),
    AN_NAME("axis", struct an_comparison, axis, an_axis_names, AN_AXES),
    AN_FIELD("layers", INTEGER, struct an_comparison, layers),
    AN_FIELD("paired", FLAG, struct an_comparison, paired),
    AN_LIST("checkpoints", struct an_comparison, pair, pairs, &pair),
    AN_LIST("groups", struct an_comparison, group, groups, &compared_group),
};
const struct an_json_table an_json_comparison = AN_TABLE(struct an_comparison, comparison_fields);
