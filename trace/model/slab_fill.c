// SPDX-License-Identifier: Apache-2.0
#include "slab_fill.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { PIECE_BYTES = 8 << 20 }; // one pread
enum { MAX_READERS = 8, LONG_STRETCH = 1 << 18 };
enum { TILE = 32 }; // rows and columns transposed at once

// The digest of one tensor on its way: its bytes come in order, but pieces of several tensors may
// alternate (panels of a table and of its bias), and a tensor may come twice (a tied table).
struct tensor_digest {
    const struct tr_tensor *tensor; // borrowed from the checkpoint
    struct tr_digest *digest;       // NULL once all bytes have come
    uint64_t bytes;                 // so far
    char text[TR_DIGEST_MAX];
};

struct tr_filler {
    int readers;
    char *piece; // [PIECE_BYTES], file bytes on their way
    uint64_t piece_capacity;
    struct tensor_digest *tensors;
    uint64_t count, capacity;
};

enum tr_status tr_filler_new(struct tr_filler **filler_p, int readers, struct tr_err *err) {
    TR_TRY(TR_NEW(filler_p, 1, "a slab reader", err));
    (*filler_p)->readers = readers < MAX_READERS ? readers : MAX_READERS;
    return TR_OK;
}

void tr_filler_start(struct tr_filler *filler) {
    for (uint64_t i = 0; i < filler->count; i++)
        tr_digest_free(filler->tensors[i].digest);
    filler->count = 0;
}

void tr_filler_free(struct tr_filler *filler) {
    if (!filler)
        return;
    tr_filler_start(filler);
    free(filler->tensors);
    free(filler->piece);
    free(filler);
}

static enum tr_status digest_of(struct tr_filler *filler, const struct tr_tensor *tensor,
                                struct tensor_digest **entry_p, struct tr_err *err) {
    for (uint64_t i = filler->count; i-- > 0;)
        if (filler->tensors[i].tensor == tensor) {
            *entry_p = &filler->tensors[i];
            return TR_OK;
        }
    TR_TRY(tr_grow((void **)&filler->tensors, &filler->capacity, filler->count + 1,
                   sizeof *filler->tensors, "tensor digests", err));
    struct tensor_digest *entry = &filler->tensors[filler->count];
    *entry = (struct tensor_digest){.tensor = tensor};
    TR_TRY(tr_digest_new(&entry->digest, err));
    filler->count++;
    *entry_p = entry;
    return TR_OK;
}

// Digests a piece that starts at byte `begin` of the tensor, unless it has been seen before.
static enum tr_status digest_piece(struct tr_filler *filler, const struct tr_tensor *tensor,
                                   uint64_t begin, const void *bytes, size_t size,
                                   struct tr_err *err) {
    struct tensor_digest *entry;
    TR_TRY(digest_of(filler, tensor, &entry, err));
    if (!entry->digest || entry->bytes != begin)
        return TR_OK;
    tr_digest_update(entry->digest, bytes, size);
    entry->bytes += size;
    if (entry->bytes < tensor->bytes)
        return TR_OK;
    tr_digest_text(entry->digest, entry->text);
    tr_digest_free(entry->digest);
    entry->digest = NULL;
    return TR_OK;
}

static void convert(void *to, enum kn_type to_type, const void *from, enum tr_dtype from_type,
                    int64_t count) {
    static const enum kn_type kernel_types[] = {
        [TR_F32] = KN_F32, [TR_F16] = KN_F16, [TR_BF16] = KN_BF16};
    if (from_type != TR_F64) {
        kn_convert(to, to_type, from, kernel_types[from_type], count);
        return;
    }
    // Values of f64 always become f32. The file need not align them.
    for (int64_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, (const char *)from + 8 * i, 8);
        float rounded = (float)value;
        memcpy((char *)to + 4 * i, &rounded, 4);
    }
}

// A long stretch by several threads, a part each.
static void convert_by_many(int threads, char *to, enum kn_type to_type, const char *from,
                            enum tr_dtype from_type, int64_t count) {
    size_t to_size = kn_type_size(to_type), from_size = tr_dtype_size(from_type);
    int64_t each = count < LONG_STRETCH ? count : (count + threads - 1) / threads;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (each < count)
    for (int64_t at = 0; at < count; at += each)
        convert(to + (size_t)at * to_size, to_type, from + (size_t)at * from_size, from_type,
                count - at < each ? count - at : each);
}

// Where row `row` of the tensor goes, and how many rows after it go to the following ones.
static int64_t destination(const struct tr_placement *p, int64_t row, int64_t *run_p) {
    int64_t group = row / p->group_rows, within = row % p->group_rows;
    int s = 0;
    while (within >= p->segments[s].rows) {
        within -= p->segments[s].rows;
        s++;
    }
    *run_p = p->segments[s].rows - within;
    return p->segments[s].to + group * p->segments[s].rows + within;
}

int64_t tr_placement_row(const struct tr_placement *p, int64_t row) {
    int64_t run;
    return destination(p, row, &run);
}

static void scale_to_unit(float *row, int64_t cols) {
    double square = 0;
    for (int64_t i = 0; i < cols; i++)
        square += (double)row[i] * (double)row[i];
    double length = fmax(sqrt(square), 1e-12);
    for (int64_t i = 0; i < cols; i++)
        row[i] = (float)((double)row[i] / length);
}

// What the transform and the factor make of `rows` rows that were converted; they are f32 unless
// there is none of both.
static void transform(enum tr_transform transform, float factor, char *values, int64_t rows,
                      int64_t cols) {
    float *f32 = (float *)(void *)values;
    if (factor != 1)
        for (int64_t i = 0; i < rows * cols; i++)
            f32[i] *= factor;
    if (transform == TR_PLUS_ONE)
        for (int64_t i = 0; i < rows * cols; i++)
            f32[i] += 1;
    if (transform == TR_UNIT_ROWS)
        for (int64_t r = 0; r < rows; r++)
            scale_to_unit(f32 + r * cols, cols);
}

// Puts rows [row, row + rows) of the placement, which lie in `bytes`, into the slot.
static void scatter(const struct tr_placement *p, const struct tr_slot_plan *slot, char *memory,
                    int64_t row, int64_t rows, const char *bytes, float factor, int threads) {
    size_t from_size = tr_dtype_size(p->tensor->dtype), to_size = kn_type_size(slot->type);
    while (rows > 0) {
        int64_t run;
        char *to =
            memory + slot->offset + (size_t)(destination(p, row, &run) * slot->cols) * to_size;
        run = run < rows ? run : rows;
        convert_by_many(threads, to, slot->type, bytes, p->tensor->dtype, run * slot->cols);
        transform(p->transform, factor, to, run, slot->cols);
        bytes += (size_t)(run * slot->cols) * from_size;
        row += run;
        rows -= run;
    }
}

// to[i] = from[i * TILE] for elements of 2 or 4 bytes.
static void copy_column(char *to, const char *from, int64_t count, size_t size) {
    for (int64_t i = 0; i < count && size == 4; i++)
        memcpy(to + 4 * i, from + 4 * i * TILE, 4);
    for (int64_t i = 0; i < count && size == 2; i++)
        memcpy(to + 2 * i, from + 2 * i * TILE, 2);
}

// The same for a tensor stored [cols, rows]: bytes hold its stored rows [row, row + rows), each a
// column of the slot. By square tiles, so that neither side's cache lines are used once and lost.
static void scatter_transposed(const struct tr_placement *p, const struct tr_slot_plan *slot,
                               char *memory, int64_t row, int64_t rows, const char *bytes) {
    size_t from_size = tr_dtype_size(p->tensor->dtype), to_size = kn_type_size(slot->type);
    _Alignas(float) char tile[TILE * TILE * sizeof(float)];
    for (int64_t j = 0; j < p->rows; j += TILE)
        for (int64_t k = 0; k < rows; k += TILE) {
            int64_t width = p->rows - j < TILE ? p->rows - j : TILE, run;
            int64_t height = rows - k < TILE ? rows - k : TILE;
            for (int64_t y = 0; y < height; y++)
                convert(tile + (size_t)(y * TILE) * to_size, slot->type,
                        bytes + (size_t)((k + y) * p->rows + j) * from_size, p->tensor->dtype,
                        width);
            for (int64_t x = 0; x < width; x++) {
                int64_t at = destination(p, j + x, &run) * slot->cols + row + k;
                copy_column(memory + slot->offset + (size_t)at * to_size,
                            tile + (size_t)x * to_size, height, to_size);
            }
        }
}

// Whether the tensor's bytes can be read straight into the slot.
static bool is_direct(const struct tr_placement *p, const struct tr_slot_plan *slot) {
    static const enum tr_dtype same[] = {[KN_F32] = TR_F32, [KN_F16] = TR_F16, [KN_BF16] = TR_BF16};
    return p->segment_count == 1 && p->transform == TR_AS_STORED && !p->times &&
           same[slot->type] == p->tensor->dtype;
}

// Bytes [begin, begin + size) of the tensor, a stretch a thread: one thread copies a few GB/s out
// of the page cache, less than a device uses up.
static enum tr_status read_by_many(const struct tr_filler *filler, struct tr_checkpoint *checkpoint,
                                   const struct tr_tensor *tensor, uint64_t begin, char *bytes,
                                   size_t size, struct tr_err *err) {
    struct tr_err errors[MAX_READERS] = {0};
    size_t stretch = (size / (size_t)filler->readers + 4096) & ~(size_t)4095;
#pragma omp parallel for num_threads(filler->readers) schedule(static, 1)
    for (int i = 0; i < filler->readers; i++) {
        size_t from = (size_t)i * stretch < size ? (size_t)i * stretch : size;
        size_t count = size - from < stretch ? size - from : stretch;
        if (count)
            tr_checkpoint_read(checkpoint, tensor, begin + from, bytes + from, count, &errors[i]);
    }
    for (int i = 0; i < filler->readers; i++)
        if (errors[i].code != TR_OK) {
            *err = errors[i];
            return err->code;
        }
    return TR_OK;
}

// Digests all placements' tensors have to have before threads digest them: an entry each. Whether
// each is another tensor, whose first bytes these are, and can be read straight into its slot.
static enum tr_status enter_all(struct tr_filler *filler, const struct tr_slab_plan *plan,
                                bool *apart_p, struct tr_err *err) {
    uint64_t before = filler->count;
    bool apart = true;
    for (uint64_t i = 0; i < plan->placement_count && apart; i++) {
        const struct tr_placement *p = &plan->placements[i];
        struct tensor_digest *entry;
        apart = is_direct(p, &plan->slots[p->slot]) && p->first_row == 0;
        if (apart)
            TR_TRY(digest_of(filler, p->tensor, &entry, err));
    }
    *apart_p = apart && filler->count == before + plan->placement_count;
    return TR_OK;
}

static enum tr_status read_factor(struct tr_filler *filler, struct tr_checkpoint *checkpoint,
                                  const struct tr_tensor *times, float *factor_p,
                                  struct tr_err *err) {
    char bytes[8];
    *factor_p = 1;
    if (!times)
        return TR_OK;
    TR_TRY(tr_checkpoint_read(checkpoint, times, 0, bytes, (size_t)times->bytes, err));
    convert(factor_p, KN_F32, bytes, times->dtype, 1);
    return digest_piece(filler, times, 0, bytes, (size_t)times->bytes, err);
}

static void scatter_any(const struct tr_placement *p, const struct tr_slot_plan *slot, char *memory,
                        int64_t row, int64_t rows, const char *bytes, float factor, int threads) {
    if (p->transform == TR_TRANSPOSED)
        scatter_transposed(p, slot, memory, row, rows, bytes);
    else
        scatter(p, slot, memory, row, rows, bytes, factor, threads);
}

// `readers` threads share each piece of a tensor.
static enum tr_status fill_slot(struct tr_filler *filler, int readers,
                                struct tr_checkpoint *checkpoint, const struct tr_placement *p,
                                const struct tr_slot_plan *slot, char *memory, struct tr_err *err) {
    // Rows as the file has them.
    bool transposed = p->transform == TR_TRANSPOSED;
    int64_t rows = transposed ? slot->cols : p->rows, cols = transposed ? p->rows : slot->cols;
    size_t row_bytes = (size_t)cols * tr_dtype_size(p->tensor->dtype);
    bool direct = is_direct(p, slot);
    float factor;
    TR_TRY(read_factor(filler, checkpoint, p->times, &factor, err));
    int64_t pieces = transposed ? 1 : readers;
    int64_t each = pieces * PIECE_BYTES / (int64_t)row_bytes;
    each = each < 1 ? 1 : each > rows ? rows : each;
    if (!direct)
        TR_TRY(tr_grow((void **)&filler->piece, &filler->piece_capacity, (uint64_t)each * row_bytes,
                       1, "a piece of a file", err));
    for (int64_t row = 0; row < rows; row += each) {
        int64_t here = rows - row < each ? rows - row : each;
        size_t size = (size_t)here * row_bytes;
        uint64_t begin = (uint64_t)(p->first_row + row) * row_bytes;
        char *bytes = direct ? memory + slot->offset + (size_t)(p->segments[0].to + row) * row_bytes
                             : filler->piece;
        if (pieces > 1)
            TR_TRY(read_by_many(filler, checkpoint, p->tensor, begin, bytes, size, err));
        else
            TR_TRY(tr_checkpoint_read(checkpoint, p->tensor, begin, bytes, size, err));
        TR_TRY(digest_piece(filler, p->tensor, begin, bytes, size, err));
        if (!direct)
            scatter_any(p, slot, memory, row, here, bytes, factor, readers);
    }
    return TR_OK;
}

// A tensor a thread, so that digests are computed side by side, too: experts are many tensors.
static enum tr_status fill_side_by_side(struct tr_filler *filler, struct tr_checkpoint *checkpoint,
                                        const struct tr_slab_plan *plan, char *memory,
                                        struct tr_err *err) {
    int failures = 0;
#pragma omp parallel for num_threads(filler->readers) schedule(dynamic, 1)
    for (uint64_t i = 0; i < plan->placement_count; i++) {
        const struct tr_placement *p = &plan->placements[i];
        struct tr_err own = {0};
        if (fill_slot(filler, 1, checkpoint, p, &plan->slots[p->slot], memory, &own) == TR_OK)
            continue;
#pragma omp critical(tr_filler_failed)
        if (failures++ == 0)
            *err = own;
    }
    return failures ? err->code : TR_OK;
}

enum tr_status tr_filler_fill(struct tr_filler *filler, struct tr_checkpoint *checkpoint,
                              const struct tr_slab_plan *plan, char *memory, struct tr_err *err) {
    bool apart = false;
    if (filler->readers > 1 && plan->placement_count >= (uint64_t)filler->readers)
        TR_TRY(enter_all(filler, plan, &apart, err));
    if (apart)
        return fill_side_by_side(filler, checkpoint, plan, memory, err);
    for (uint64_t i = 0; i < plan->placement_count; i++) {
        const struct tr_placement *p = &plan->placements[i];
        TR_TRY(
            fill_slot(filler, filler->readers, checkpoint, p, &plan->slots[p->slot], memory, err));
    }
    return TR_OK;
}

static int by_name(const void *a, const void *b) {
    const struct tensor_digest *left = a, *right = b;
    return strcmp(left->tensor->name, right->tensor->name);
}

// "name type [shape] digest" of one tensor, each part ended by 0 or a space.
static void digest_line(struct tr_digest *digest, const struct tensor_digest *entry) {
    const struct tr_tensor *tensor = entry->tensor;
    char line[256];
    int at = snprintf(line, sizeof line, "%s [", tensor->dtype_text);
    for (int i = 0; i < tensor->dims; i++)
        at += snprintf(line + at, sizeof line - (size_t)at, i ? ",%lld" : "%lld",
                       (long long)tensor->shape[i]);
    snprintf(line + at, sizeof line - (size_t)at, "] %s", entry->text);
    tr_digest_update(digest, tensor->name, strlen(tensor->name) + 1);
    tr_digest_update(digest, line, strlen(line) + 1);
}

enum tr_status tr_filler_digest(struct tr_filler *filler, char out[TR_DIGEST_MAX],
                                struct tr_err *err) {
    struct tr_digest *digest;
    TR_TRY(tr_digest_new(&digest, err));
    qsort(filler->tensors, filler->count, sizeof *filler->tensors, by_name);
    for (uint64_t i = 0; i < filler->count; i++) // of a table of which the last rows are not used
        if (filler->tensors[i].digest)
            tr_digest_text(filler->tensors[i].digest, filler->tensors[i].text);
    for (uint64_t i = 0; i < filler->count; i++)
        digest_line(digest, &filler->tensors[i]);
    tr_digest_text(digest, out);
    tr_digest_free(digest);
    return TR_OK;
}
