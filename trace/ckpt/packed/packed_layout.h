// SPDX-License-Identifier: Apache-2.0
#ifndef TR_PACKED_LAYOUT_H
#define TR_PACKED_LAYOUT_H

#include "ckpt/codes.h"

// How weights in few bits lie in tensors of a file: a row of a table for each layout. A layout only
// says where the numbers of a tr_codes go. Which programs read which: docs/quantized-layouts.md.

// The tensors that a weight becomes, each called by its module's name and an ending.
enum tr_packed_part {
    TR_PART_CODES,
    TR_PART_ZEROS,
    TR_PART_SCALES,
    TR_PART_GROUPS, // the group of each input
    TR_PART_SHAPE,  // (out, in)
    TR_PACKED_PARTS
};

// A matrix [out, n] of values of few bits, n being inputs or groups, in 32-bit words, each of which
// has 32 / bits of them. The last words of a direction may be filled in part.
struct tr_word_matrix {
    bool turned;          // words lie as [n, out]; else as [out, n]
    bool along_out;       // the values of a word are of outputs that follow one another; else of n
    const uint8_t *place; // [8], of 4 bits: the k-th value of a word is its nibble place[k], the
                          // lowest being 0
};

struct tr_packed_layout {
    const char *name;                     // "gptq"
    const char *method;                   // config.json's "quant_method"
    const char *endings[TR_PACKED_PARTS]; // ".qweight"; NULL: it has no such part
    struct tr_word_matrix codes, zeros;
    bool scales_turned;  // [groups, out]; else [out, groups]
    bool zeros_less_one; // a word of zeros is stored less 1 in each of its values, as one number
    bool always_zeros;   // symmetric weights have zeros, too
    bool always_groups;  // weights whose groups are in order have a map of them, too
    int widest;          // bits of a code: 4, or 8
    // What its readers take, beyond what could be stored.
    bool full_groups;  // the last group of a row is as long as the others
    bool full_inputs;  // inputs fill words
    bool full_outputs; // outputs fill words
    bool half_scales;  // scales are of f16
};

enum { TR_LAYOUTS = 4 };
extern const struct tr_packed_layout tr_layouts[TR_LAYOUTS];

// The layout of that name; NULL when there is none.
const struct tr_packed_layout *tr_layout_find(const char *name);

// "compressed-tensors, gptq, ... or awq", for sentences. Appended.
struct tr_string;
enum tr_status tr_layout_names(struct tr_string *text, struct tr_err *err);

// Whether readers of the layout take a weight of that form (see tr_layout_part): TR_EUNSUPPORTED
// with the sentence, which begins with `name`.
enum tr_status tr_layout_check(const struct tr_packed_layout *layout, const struct tr_codes *form,
                               const char *name, struct tr_err *err);

// Type and shape of a part of a weight of that form, of which no array is looked at but whether
// group_of is NULL. False where such a weight has no such part.
struct tr_part_form {
    const char *dtype_text; // as safetensors spells it
    int dims;
    int64_t shape[2];
    uint64_t bytes;
};
bool tr_layout_part(const struct tr_packed_layout *layout, const struct tr_codes *form,
                    enum tr_packed_part part, struct tr_part_form *part_p);

// Fills the bytes of a part, little-endian, from the codes; and the codes' array of a part from
// them. Bits that belong to no value are 0, and are not looked at. Values must be in their ranges.
void tr_layout_pack(const struct tr_packed_layout *layout, const struct tr_codes *codes,
                    enum tr_packed_part part, void *bytes);
void tr_layout_unpack(const struct tr_packed_layout *layout, struct tr_codes *codes,
                      enum tr_packed_part part, const void *bytes);

// The same of the zeros of symmetric codes: two versions of one layout store either 2^(bits - 1) or
// one less, and files say the wrong one of themselves. Any of the two is taken; false when a value
// is neither.
bool tr_layout_unpack_symmetric(const struct tr_packed_layout *layout, struct tr_codes *codes,
                                const void *bytes);

#endif
