// SPDX-License-Identifier: Apache-2.0
#include "unit_set.h"

#include "base/drop_set.h"

enum tr_status an_only_group(const struct an_group_result **group_p, const struct an_result *result,
                             const char *what, struct tr_err *err) {
    int wanted = 0;
    for (int group = 0; group < AN_GROUPS; group++)
        if (result->settings.wanted[group]) {
            wanted++;
            *group_p = result->group[group];
        }
    if (wanted != 1)
        return tr_fail(err, TR_EUSAGE, "%s one --module: attn, mlp, block or joint", what);
    if (!*group_p)
        return tr_fail(err, TR_EUSAGE, "no plan: no layer of that module has a value");
    return TR_OK;
}

bool an_is_protected(const struct an_result *result, const struct an_unit *unit) {
    const struct an_settings *settings = &result->settings;
    return (settings->protect_first && unit->layer == 0) ||
           (settings->protect_last && unit->layer == result->series.layers - 1);
}

enum tr_status an_unit_set_text(struct tr_string *text, const struct an_group_result *group,
                                const int64_t *unit, int64_t count, struct tr_err *err) {
    struct tr_drop_set set = {0};
    enum tr_status status = tr_string_append(text, "", 0, err);
    for (int64_t i = 0; i < count && status == TR_OK; i++)
        status =
            tr_drop_set_add(&set, group->unit[unit[i]].module, group->unit[unit[i]].layer, err);
    if (status == TR_OK)
        status = tr_drop_set_text(&set, text, err);
    tr_drop_set_free(&set);
    return status;
}
