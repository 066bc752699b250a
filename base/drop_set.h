// SPDX-License-Identifier: Apache-2.0
#ifndef TR_DROP_SET_H
#define TR_DROP_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/module.h"
#include "base/status.h"
#include "base/strings.h"

// Which sublayers of a model are left out. Its text form names layers by module, counted from 0:
//
//     attn:25,26,24 mlp:27 block:3-5
//
// A block is both of its sublayers. Layers of one module are separated by commas, a range a-b is
// all from a to b, modules are separated by spaces. The empty text is the empty set. The order in
// which members were named is kept: of a plan it says what goes first.

struct tr_drop {
    enum tr_module module;
    int32_t layer;
};

struct tr_drop_set {
    struct tr_drop *drops; // [count]
    int64_t count;
    uint64_t capacity;
    int64_t of_layers; // of a model with so many alone; 0: of any
};

// TR_EUSAGE names the word that makes no sense, or a sublayer that is named twice.
enum tr_status tr_drop_set_parse(struct tr_drop_set *set, const char *text, struct tr_err *err);
// What an option takes: the text form, or @FILE with the text form, a plan, or a config of a model
// that lists its dropped layers ("drop_attn_list", "drop_mlp_list": numbers, or a flag for each
// layer); or MODULE/LAYERS@FILE, such as attn/32@reserved_layers.json, with LLM-Drop's list of what
// is kept: of attn, mlp or block the layers, of joint attentions from 0 and MLPs from LAYERS on.
enum tr_status tr_drop_set_read(struct tr_drop_set *set, const char *argument, struct tr_err *err);
// Adds a member; one that is there already, also as part of a block, is TR_EUSAGE.
enum tr_status tr_drop_set_add(struct tr_drop_set *set, enum tr_module module, int64_t layer,
                               struct tr_err *err);
void tr_drop_set_free(struct tr_drop_set *set);

// Whether the sublayer is left out, by itself or with its block; of TR_BLOCK whether both are. A
// NULL set is empty.
bool tr_drop_set_has(const struct tr_drop_set *set, enum tr_module module, int64_t layer);

// TR_EUSAGE when a member is no layer of a model with this many, or the set is of another model.
enum tr_status tr_drop_set_check(const struct tr_drop_set *set, int64_t layers, struct tr_err *err);

// Appends the canonical text: equal sets have equal texts. Sublayers ascending, a block whose
// sublayers are both left out as a block.
enum tr_status tr_drop_set_text(const struct tr_drop_set *set, struct tr_string *text,
                                struct tr_err *err);

#endif
