// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CONFIG_SOURCE_H
#define TR_CONFIG_SOURCE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"
#include "model/family.h"

// What is read of config.json, key by key. Private to this folder.
struct tr_config_source {
    const json_t *root;
    const char *path; // opens each sentence
    struct tr_err *err;
};

// Where the member of a key is: in config.json or, of "attn_config.alibi", in an object there.
// `key_p` becomes the member's name. NULL where there is no such object.
const json_t *tr_config_holder(const char **key_p, const json_t *root);

enum tr_status tr_condition_holds(const struct tr_condition *condition, bool *holds_p,
                                  const struct tr_config_source *from);

// The row that config.json is read by. TR_EUNSUPPORTED where none is, or where the row refuses it.
enum tr_status tr_config_find_family(const struct tr_family **family_p,
                                     const struct tr_config_source *from);

#endif
