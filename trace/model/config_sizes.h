// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CONFIG_SIZES_H
#define TR_CONFIG_SIZES_H

#include "config_source.h"
#include "model/config.h"

// Private to this folder; in this order, the family being known. TR_EFORMAT and TR_EUNSUPPORTED,
// naming the key, for sizes that cannot be or are not supported.

// Layers, widths, heads and the vocabulary.
enum tr_status tr_config_read_sizes(struct tr_config *config, const struct tr_config_source *from);

// Of a mixture of experts: how many there are and are used, their widths, and how a router chooses.
enum tr_status tr_config_read_experts(struct tr_config *config,
                                      const struct tr_config_source *from);

// Of layers whose mixer scans.
enum tr_status tr_config_read_scan(struct tr_config *config, const struct tr_config_source *from);

#endif
