// SPDX-License-Identifier: Apache-2.0
#ifndef TR_TRAINER_CONFIG_H
#define TR_TRAINER_CONFIG_H

#include "facts.h"
#include "reader.h"

// A trainer's own words about its model as config.json says them: one table a trainer. Internal.

enum tr_trainer { TR_META, TR_LITGPT, TR_NANOTRON, TR_OLMO_CORE, TR_MEGATRON, TR_NEOX };

// Gives the checkpoint the configuration that `facts` tell; `name`: the file of the folder that
// they come from. TR_EUNSUPPORTED where they tell something that no config.json can be made of:
// then one has to be given.
enum tr_status tr_trainer_configure(struct tr_checkpoint *checkpoint, enum tr_trainer trainer,
                                    const json_t *facts, const char *name, struct tr_err *err);

tr_format_open tr_configure_meta;
tr_format_open tr_configure_litgpt;
tr_format_open tr_configure_nanotron;
tr_format_open tr_configure_olmo_core;
tr_format_open tr_configure_megatron;
tr_format_open tr_configure_neox;
tr_format_open tr_configure_distributed; // by Megatron's common.pt, where there is one

#endif
