// SPDX-License-Identifier: Apache-2.0
// Numbers of few bits into words and back.
#include <endian.h>
#include <string.h>

#include "kernels/convert.h"
#include "packed_layout.h"

// Values from which on several threads pack them.
enum { MANY = 1 << 20 };

// ---- words -------------------------------------------------------------------------------------

// A matrix [out, n] of values and the words that hold it.
struct words {
    const struct tr_word_matrix *matrix;
    int bits, each;           // values of a word
    int64_t out, n;           // in values
    int64_t out_words, words; // in words
};

static struct words words_of(const struct tr_word_matrix *matrix, int bits, int64_t out,
                             int64_t n) {
    int64_t each = 32 / bits;
    bool along = matrix->along_out;
    return (struct words){.matrix = matrix,
                          .bits = bits,
                          .each = (int)each,
                          .out = out,
                          .n = n,
                          .out_words = along ? (out - 1) / each + 1 : out,
                          .words = along ? n : (n - 1) / each + 1};
}

// Where values of word (o, x) lie in [out, n], how far apart, and how many there are.
struct run {
    int64_t first, step;
    int count;
};

static struct run run_of(const struct words *w, int64_t o, int64_t x) {
    bool along = w->matrix->along_out;
    int64_t left = along ? w->out - o * w->each : w->n - x * w->each;
    return (struct run){.first = along ? o * w->each * w->n + x : o * w->n + x * w->each,
                        .step = along ? w->n : 1,
                        .count = left < w->each ? (int)left : w->each};
}

static int shift_of(const struct words *w, int k) {
    return w->bits * (w->bits == 4 ? w->matrix->place[k] : k);
}

static void put_word(void *bytes, int64_t index, uint32_t word) {
    word = htole32(word);
    memcpy((char *)bytes + 4 * index, &word, 4);
}

static uint32_t get_word(const void *bytes, int64_t index) {
    uint32_t word;
    memcpy(&word, (const char *)bytes + 4 * index, 4);
    return le32toh(word);
}

static int64_t index_of(const struct words *w, int64_t o, int64_t x) {
    return w->matrix->turned ? x * w->out_words + o : o * w->words + x;
}

// `less` is taken from each word, as one number.
static void pack_words(const struct words *w, uint32_t less, const uint8_t *values, void *bytes) {
#pragma omp parallel for schedule(static) if (w->out * w->n > MANY)
    for (int64_t o = 0; o < w->out_words; o++)
        for (int64_t x = 0; x < w->words; x++) {
            struct run run = run_of(w, o, x);
            uint32_t word = 0;
            for (int k = 0; k < run.count; k++)
                word |= (uint32_t)values[run.first + k * run.step] << shift_of(w, k);
            put_word(bytes, index_of(w, o, x), word - less);
        }
}

static void unpack_words(const struct words *w, uint32_t less, const void *bytes, uint8_t *values) {
    const uint32_t mask = (1u << w->bits) - 1;
#pragma omp parallel for schedule(static) if (w->out * w->n > MANY)
    for (int64_t o = 0; o < w->out_words; o++)
        for (int64_t x = 0; x < w->words; x++) {
            struct run run = run_of(w, o, x);
            uint32_t word = get_word(bytes, index_of(w, o, x)) + less;
            for (int k = 0; k < run.count; k++)
                values[run.first + k * run.step] = (uint8_t)(word >> shift_of(w, k) & mask);
        }
}

static struct words codes_of(const struct tr_packed_layout *layout, const struct tr_codes *codes) {
    return words_of(&layout->codes, codes->bits, codes->out, codes->in);
}

static struct words zeros_of(const struct tr_packed_layout *layout, const struct tr_codes *codes) {
    return words_of(&layout->zeros, codes->bits, codes->out, codes->groups);
}

static uint32_t less_of(const struct tr_packed_layout *layout, int bits) {
    return !layout->zeros_less_one ? 0 : bits == 4 ? 0x11111111 : 0x01010101;
}

// ---- scales, groups, shapes --------------------------------------------------------------------

static void put_number(void *bytes, int64_t index, size_t size, uint64_t number) {
    number = htole64(number);
    memcpy((char *)bytes + (size_t)index * size, &number, size);
}

static uint64_t get_number(const void *bytes, int64_t index, size_t size) {
    uint64_t number = 0;
    memcpy(&number, (const char *)bytes + (size_t)index * size, size);
    return le64toh(number);
}

static int64_t scale_index(const struct tr_packed_layout *layout, const struct tr_codes *codes,
                           int64_t index) {
    int64_t o = index / codes->groups, g = index % codes->groups;
    return layout->scales_turned ? g * codes->out + o : index;
}

static uint64_t bits_of(float value, enum tr_dtype dtype) {
    uint32_t bits;
    if (dtype != TR_F32)
        return dtype == TR_F16 ? kn_f16_of_float(value) : kn_bf16_of_float(value);
    memcpy(&bits, &value, 4);
    return bits;
}

static float value_of(uint64_t number, enum tr_dtype dtype) {
    uint32_t bits = (uint32_t)number;
    float value;
    if (dtype != TR_F32)
        return dtype == TR_F16 ? kn_float_of_f16((uint16_t)bits) : kn_float_of_bf16((uint16_t)bits);
    memcpy(&value, &bits, 4);
    return value;
}

static void pack_scales(const struct tr_packed_layout *layout, const struct tr_codes *codes,
                        void *bytes) {
    size_t size = tr_dtype_size(codes->scale_dtype);
    for (int64_t i = 0; i < codes->out * codes->groups; i++)
        put_number(bytes, scale_index(layout, codes, i), size,
                   bits_of(codes->scale[i], codes->scale_dtype));
}

static void unpack_scales(const struct tr_packed_layout *layout, struct tr_codes *codes,
                          const void *bytes) {
    size_t size = tr_dtype_size(codes->scale_dtype);
    for (int64_t i = 0; i < codes->out * codes->groups; i++)
        codes->scale[i] =
            value_of(get_number(bytes, scale_index(layout, codes, i), size), codes->scale_dtype);
}

static void pack_groups(const struct tr_codes *codes, void *bytes) {
    for (int64_t i = 0; i < codes->in; i++)
        put_number(bytes, i, 4,
                   (uint64_t)(codes->group_of ? codes->group_of[i] : i / codes->group_size));
}

static void unpack_groups(struct tr_codes *codes, const void *bytes) {
    for (int64_t i = 0; i < codes->in; i++)
        codes->group_of[i] = (int32_t)get_number(bytes, i, 4);
}

static void pack_shape(const struct tr_codes *codes, void *bytes) {
    put_number(bytes, 0, 8, (uint64_t)codes->out);
    put_number(bytes, 1, 8, (uint64_t)codes->in);
}

static void unpack_shape(struct tr_codes *codes, const void *bytes) {
    codes->out = (int64_t)get_number(bytes, 0, 8);
    codes->in = (int64_t)get_number(bytes, 1, 8);
}

// ---- parts -------------------------------------------------------------------------------------

static struct tr_part_form matrix_form(const char *dtype_text, bool turned, int64_t out, int64_t n,
                                       size_t size) {
    return (struct tr_part_form){.dtype_text = dtype_text,
                                 .dims = 2,
                                 .shape = {turned ? n : out, turned ? out : n},
                                 .bytes = (uint64_t)out * (uint64_t)n * size};
}

static struct tr_part_form vector_form(const char *dtype_text, int64_t count, size_t size) {
    return (struct tr_part_form){
        .dtype_text = dtype_text, .dims = 1, .shape = {count}, .bytes = (uint64_t)count * size};
}

static struct tr_part_form words_form(const struct words *w) {
    return matrix_form("I32", w->matrix->turned, w->out_words, w->words, 4);
}

static struct tr_part_form scales_form(const struct tr_packed_layout *layout,
                                       const struct tr_codes *form) {
    const char *text = form->scale_dtype == TR_F32   ? "F32"
                       : form->scale_dtype == TR_F16 ? "F16"
                                                     : "BF16";
    return matrix_form(text, layout->scales_turned, form->out, form->groups,
                       tr_dtype_size(form->scale_dtype));
}

static bool has_part(const struct tr_packed_layout *layout, const struct tr_codes *form,
                     enum tr_packed_part part) {
    if (!layout->endings[part])
        return false;
    if (part == TR_PART_ZEROS)
        return layout->always_zeros || !form->symmetric;
    return part != TR_PART_GROUPS || layout->always_groups || form->group_of;
}

bool tr_layout_part(const struct tr_packed_layout *layout, const struct tr_codes *form,
                    enum tr_packed_part part, struct tr_part_form *part_p) {
    if (!has_part(layout, form, part))
        return false;
    struct words codes = codes_of(layout, form), zeros = zeros_of(layout, form);
    *part_p = part == TR_PART_CODES    ? words_form(&codes)
              : part == TR_PART_ZEROS  ? words_form(&zeros)
              : part == TR_PART_SCALES ? scales_form(layout, form)
              : part == TR_PART_GROUPS ? vector_form("I32", form->in, 4)
                                       : vector_form("I64", 2, 8);
    return true;
}

void tr_layout_pack(const struct tr_packed_layout *layout, const struct tr_codes *codes,
                    enum tr_packed_part part, void *bytes) {
    struct words of_codes = codes_of(layout, codes), of_zeros = zeros_of(layout, codes);
    switch (part) {
    case TR_PART_CODES:
        pack_words(&of_codes, 0, codes->code, bytes);
        break;
    case TR_PART_ZEROS:
        pack_words(&of_zeros, less_of(layout, codes->bits), codes->zero, bytes);
        break;
    case TR_PART_SCALES:
        pack_scales(layout, codes, bytes);
        break;
    case TR_PART_GROUPS:
        pack_groups(codes, bytes);
        break;
    default:
        pack_shape(codes, bytes);
    }
}

void tr_layout_unpack(const struct tr_packed_layout *layout, struct tr_codes *codes,
                      enum tr_packed_part part, const void *bytes) {
    struct words of_codes = codes_of(layout, codes), of_zeros = zeros_of(layout, codes);
    switch (part) {
    case TR_PART_CODES:
        unpack_words(&of_codes, 0, bytes, codes->code);
        break;
    case TR_PART_ZEROS:
        unpack_words(&of_zeros, less_of(layout, codes->bits), bytes, codes->zero);
        break;
    case TR_PART_SCALES:
        unpack_scales(layout, codes, bytes);
        break;
    case TR_PART_GROUPS:
        unpack_groups(codes, bytes);
        break;
    default:
        unpack_shape(codes, bytes);
    }
}

bool tr_layout_unpack_symmetric(const struct tr_packed_layout *layout, struct tr_codes *codes,
                                const void *bytes) {
    struct words zeros = zeros_of(layout, codes);
    uint8_t half = (uint8_t)(1 << (codes->bits - 1));
    bool good = true;
    unpack_words(&zeros, 0, bytes, codes->zero);
    for (int64_t i = 0; i < codes->out * codes->groups; i++) {
        good = good && (codes->zero[i] == half || codes->zero[i] == half - 1);
        codes->zero[i] = half;
    }
    return good;
}
