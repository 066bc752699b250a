// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CONFIG_KEYS_H
#define TR_CONFIG_KEYS_H

#include "config_source.h"
#include "model/config.h"

// The values of single keys of config.json, by the names and defaults of the family's row. Private
// to this folder. TR_EFORMAT, naming the key, for a value that cannot be.

// As a number, its default when absent. `neutral` is what null says (Python's None overrides a
// default), what a derived default comes to, and the value of a key that the family's row does not
// write. A list of equal numbers is one where the row says so.
enum tr_status tr_key_number(const struct tr_config *config, enum tr_key key, double neutral,
                             double *value_p, const struct tr_config_source *from);

// The same of an integer from `low` to `high`.
enum tr_status tr_key_size(const struct tr_config *config, enum tr_key key, int64_t neutral,
                           int64_t low, int64_t high, int64_t *size_p,
                           const struct tr_config_source *from);

// The same as a boolean; `neutral` where the row does not write the key. Null and 0 are false.
enum tr_status tr_key_flag(const struct tr_config *config, enum tr_key key, bool neutral,
                           bool *flag_p, const struct tr_config_source *from);

// The same of a finite number.
enum tr_status tr_key_real(const struct tr_config *config, enum tr_key key, double neutral,
                           float *value_p, const struct tr_config_source *from);

// The same of a cap or a clip, 0 for none.
enum tr_status tr_key_bound(const struct tr_config *config, enum tr_key key, float *value_p,
                            const struct tr_config_source *from);

#endif
