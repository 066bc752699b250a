// SPDX-License-Identifier: Apache-2.0
#ifndef AN_SIZES_H
#define AN_SIZES_H

#include "base/module.h"
#include "base/status.h"
#include "base/strings.h"
#include "store/run_info.h"

// What each sublayer of a model takes, as a store's attribute "sizes" says
// (docs/file-format.md).

enum an_resource { AN_PARAMETERS, AN_BYTES, AN_CACHE, AN_FLOPS, AN_MILLISECONDS, AN_RESOURCES };
extern const char *const an_resource_names[AN_RESOURCES]; // as options and JSON say: "params"

// "1.2 M parameters", "24 MB of keys and values": returned, in `out`.
enum { AN_AMOUNT_MAX = 64 };
char *an_amount_text(enum an_resource resource, double amount, char out[AN_AMOUNT_MAX]);

struct an_size {
    bool present;
    double parameters, met, kept, key; // as the attribute names them
    int64_t window;
    bool chunks;         // the window is as long as chunks, which no token sees beyond
    double milliseconds; // of a step of decoding, see an_sizes_time
};

struct an_sizes {
    int64_t layers;
    double weight_bytes, elsewhere, head;
    double elsewhere_milliseconds; // of the whole model's step, beside its sublayers
    struct an_size *of;            // [layers, 2] attention, MLP; NULL: the store does not say
};

// `path` names the store in sentences. An attribute that makes no sense is TR_EFORMAT.
enum tr_status an_sizes_read(struct an_sizes *sizes, const struct tr_run_info *info,
                             const char *path, struct tr_err *err);
void an_sizes_free(struct an_sizes *sizes);

// Adds the milliseconds that sublayers take of a step of decoding, from a speed.json of trace-eval
// --speed --speed-sublayers: of prompts of `context` tokens, 0: of the first that is there.
// TR_EUSAGE where the file has none, or of other layers.
enum tr_status an_sizes_time(struct an_sizes *sizes, const char *path, int64_t context,
                             struct tr_err *err);

// In words, a line for the whole and one for each run of neighbouring layers that are alike;
// appended. Of sizes that the store says.
enum tr_status an_sizes_text(struct tr_string *out, const struct an_sizes *sizes,
                             struct tr_err *err);

// What a sublayer, or both of a block, takes of a resource:
//   AN_PARAMETERS  of its matrices
//   AN_BYTES       of those, as the checkpoints store them
//   AN_CACHE       bytes that `context` tokens keep in a cache of 16-bit values, at most the
//                  window's
//   AN_FLOPS       operations of a token, averaged over the tokens of a text of `context`: 2 for
//                  each parameter met, and those with the keys that it sees
//   AN_MILLISECONDS  of a step of decoding, measured; 0 without an_sizes_time
double an_size_of(const struct an_sizes *sizes, enum an_resource resource, int64_t context,
                  enum tr_module module, int64_t layer);

// What the whole model takes, its embedding and head included.
double an_size_whole(const struct an_sizes *sizes, enum an_resource resource, int64_t context);

#endif
