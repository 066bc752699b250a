// SPDX-License-Identifier: Apache-2.0
#ifndef TR_CONFIG_LAYERS_H
#define TR_CONFIG_LAYERS_H

#include <jansson.h>

#include "base/status.h"
#include "model/config.h"

// What config.json says of single layers, key by key: how it is read and, since a model with other
// layers cannot keep it as it is, what a writer has to cut, to renumber or to spell out.

enum tr_layer_key_kind {
    TR_LAYER_ENTRIES, // a list with an entry for each layer
    TR_LAYER_NUMBERS, // a list of layers' numbers
    TR_LAYER_MIXED,   // the same, or true or false in a layer's place
    TR_LAYER_MEMBERS, // an object of which the keys are layers' numbers
    TR_LAYER_RULE     // a number (or a boolean) that says how a layer's number decides its kind
};

struct tr_layer_reader; // how the forward pass reads a row

struct tr_layer_key {
    const char *key;
    enum tr_layer_key_kind kind;
    const char
        *spelled; // of a rule: the list that says the same layer by layer; NULL: there is none
    const struct tr_layer_reader *reader; // NULL: nothing here depends on it
};

// Row `index`, NULL past the last. A key means what its row says where its value is of that kind:
// many may be one number for all layers instead.
const struct tr_layer_key *tr_layer_key_at(int index);

// The row of a key, NULL when it says nothing of single layers.
const struct tr_layer_key *tr_layer_key_find(const char *key);

// Whether the class has windows in some layers and not in others, which "layer_types" says; else it
// ignores that list.
bool tr_windows_vary(const struct tr_family *family);

// Whether "mlp_only_layers" lists those of the layers without experts that the step of sparse
// layers does not leave out.
bool tr_lists_dense_layers(const struct tr_family *family);

// Whether "moe_layers" lists those with experts, beside a step.
bool tr_lists_sparse_layers(const struct tr_family *family);

void tr_config_mark(struct tr_config *config, int64_t layer, enum tr_layer_flag flag, bool on);

// Marks the layers as the lists of config.json say, which win over what rules have marked. `path`
// opens each sentence. TR_EFORMAT for a list that does not fit the number of layers,
// TR_EUNSUPPORTED for a kind of layer that is not run.
enum tr_status tr_config_read_layer_lists(struct tr_config *config, const json_t *root,
                                          const char *path, struct tr_err *err);

#endif
