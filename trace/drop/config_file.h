// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CONFIG_FILE_H
#define TR_CONFIG_FILE_H

#include <jansson.h>

#include "model/config.h"

// config.json's object as text and as a model's shape. Private to this folder.

// The object as text that reads back as the same object; freed with free(). TR_EUNSUPPORTED for
// one with a number that is not finite, which JSON cannot say.
enum tr_status tr_config_dump(char **text_p, const json_t *root, const char *path,
                              struct tr_err *err);

enum tr_status tr_config_of(struct tr_config *config, const json_t *root, const char *path,
                            struct tr_err *err);

// Writes it to folder/config.json.
enum tr_status tr_config_write(const json_t *root, const char *folder, struct tr_err *err);

#endif
