// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CUT_CONFIG_H
#define TR_CUT_CONFIG_H

#include "drop_job.h"

// Makes config.json's object that of the model that has the layers job->kept alone, numbered from 0
// on: lists with an entry for each layer are cut and numbers of layers changed, as the rows of
// config_layers.h say; what a layer's number alone decided is spelled out. The result is read as a
// checkpoint's config.json is, and must say of every layer what the original says of it.
// TR_EUNSUPPORTED, naming the key or the layer, where it does not, or where a list has an entry for
// each layer and no row.
enum tr_status tr_cut_config(const struct tr_drop_job *job, json_t *root, struct tr_err *err);

// The two ends of that, for who changes nothing else: the number of layers, and whether the object
// says the same of every layer that stays.
enum tr_status tr_set_layers(const struct tr_drop_job *job, json_t *root, struct tr_err *err);
enum tr_status tr_says_the_same(const struct tr_drop_job *job, const json_t *root,
                                struct tr_err *err);

#endif
