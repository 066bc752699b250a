// SPDX-License-Identifier: Apache-2.0
#include "slab_fill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

enum { PIECE_BYTES = 8 << 20 }; // one pread

struct tensor_digest {
    const char *name; // borrowed from the checkpoint
    char line[192];   // "type [shape] digest" of the tensor
};

struct tr_filler {
    char *piece; // [PIECE_BYTES], file bytes on their way
    uint64_t piece_capacity;
    struct tr_digest *digest;        // of the tensor being read
    const struct tr_tensor *current; // that tensor, NULL between tensors
    struct tensor_digest *done;
    uint64_t done_count, done_capacity;
};

enum tr_status tr_filler_new(struct tr_filler **filler_p, struct tr_err *err) {
    struct tr_filler *filler;
    TR_TRY(TR_NEW(&filler, 1, "a slab reader", err));
    enum tr_status status = tr_digest_new(&filler->digest, err);
    if (status != TR_OK) {
        tr_filler_free(filler);
        return status;
    }
    *filler_p = filler;
    return TR_OK;
}

void tr_filler_free(struct tr_filler *filler) {
    if (!filler)
        return;
    tr_digest_free(filler->digest);
    free(filler->done);
    free(filler->piece);
    free(filler);
}

void tr_filler_start(struct tr_filler *filler) {
    filler->current = NULL;
    filler->done_count = 0;
}

// Writes down the digest of the tensor that was being read.
static enum tr_status finish_tensor(struct tr_filler *filler, struct tr_err *err) {
    const struct tr_tensor *tensor = filler->current;
    if (!tensor)
        return TR_OK;
    TR_TRY(tr_grow((void **)&filler->done, &filler->done_capacity, filler->done_count + 1,
                   sizeof *filler->done, "tensor digests", err));
    struct tensor_digest *done = &filler->done[filler->done_count++];
    done->name = tensor->name;
    int at = snprintf(done->line, sizeof done->line, "%s [", tensor->dtype_text);
    for (int i = 0; i < tensor->dims; i++)
        at += snprintf(done->line + at, sizeof done->line - (size_t)at, i ? ",%lld" : "%lld",
                       (long long)tensor->shape[i]);
    char text[TR_DIGEST_MAX];
    tr_digest_text(filler->digest, text);
    snprintf(done->line + at, sizeof done->line - (size_t)at, "] %s", text);
    filler->current = NULL;
    return TR_OK;
}

static enum tr_status digest_piece(struct tr_filler *filler, const struct tr_placement *placement,
                                   const void *bytes, size_t size, struct tr_err *err) {
    if (!placement->digested)
        return TR_OK;
    if (filler->current != placement->tensor) {
        TR_TRY(finish_tensor(filler, err));
        tr_digest_reset(filler->digest);
        filler->current = placement->tensor;
    }
    tr_digest_update(filler->digest, bytes, size);
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
    // f64 is always bound as f32. The file need not align its values.
    for (int64_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, (const char *)from + 8 * i, 8);
        float rounded = (float)value;
        memcpy((char *)to + 4 * i, &rounded, 4);
    }
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

// Puts rows [row, row + rows), which lie in `bytes`, into the slot.
static void scatter(const struct tr_placement *p, const struct tr_slot_plan *slot, char *memory,
                    int64_t row, int64_t rows, const char *bytes) {
    size_t from_size = tr_dtype_size(p->tensor->dtype), to_size = kn_type_size(slot->type);
    while (rows > 0) {
        int64_t run;
        int64_t to = destination(p, row - p->first_row, &run);
        run = run < rows ? run : rows;
        convert(memory + slot->offset + (size_t)(to * slot->cols) * to_size, slot->type, bytes,
                p->tensor->dtype, run * slot->cols);
        bytes += (size_t)(run * slot->cols) * from_size;
        row += run;
        rows -= run;
    }
}

// Whether the tensor's bytes can be read straight into the slot.
static bool is_direct(const struct tr_placement *p, const struct tr_slot_plan *slot) {
    static const enum tr_dtype same[] = {[KN_F32] = TR_F32, [KN_F16] = TR_F16, [KN_BF16] = TR_BF16};
    return p->segment_count == 1 && same[slot->type] == p->tensor->dtype;
}

static enum tr_status fill_slot(struct tr_filler *filler, struct tr_checkpoint *checkpoint,
                                const struct tr_placement *p, const struct tr_slot_plan *slot,
                                char *memory, struct tr_err *err) {
    size_t row_bytes = (size_t)slot->cols * tr_dtype_size(p->tensor->dtype);
    int64_t piece_rows = (int64_t)(PIECE_BYTES / row_bytes);
    piece_rows = piece_rows ? piece_rows : 1;
    bool direct = is_direct(p, slot);
    if (!direct)
        TR_TRY(tr_grow((void **)&filler->piece, &filler->piece_capacity,
                       (uint64_t)piece_rows * row_bytes, 1, "a piece of a file", err));
    for (int64_t done = 0; done < p->rows; done += piece_rows) {
        int64_t rows = p->rows - done < piece_rows ? p->rows - done : piece_rows;
        int64_t row = p->first_row + done;
        size_t size = (size_t)rows * row_bytes;
        char *bytes = direct
                          ? memory + slot->offset + (size_t)(p->segments[0].to + done) * row_bytes
                          : filler->piece;
        TR_TRY(
            tr_checkpoint_read(checkpoint, p->tensor, (uint64_t)row * row_bytes, bytes, size, err));
        TR_TRY(digest_piece(filler, p, bytes, size, err));
        if (!direct)
            scatter(p, slot, memory, row, rows, bytes);
    }
    return TR_OK;
}

enum tr_status tr_filler_fill(struct tr_filler *filler, struct tr_checkpoint *checkpoint,
                              const struct tr_slab_plan *plan, char *memory, struct tr_err *err) {
    for (int i = 0; i < plan->placement_count; i++) {
        const struct tr_placement *p = &plan->placements[i];
        TR_TRY(fill_slot(filler, checkpoint, p, &plan->slots[p->slot], memory, err));
    }
    return TR_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct tensor_digest *)a)->name, ((const struct tensor_digest *)b)->name);
}

enum tr_status tr_filler_digest(struct tr_filler *filler, char out[TR_DIGEST_MAX],
                                struct tr_err *err) {
    TR_TRY(finish_tensor(filler, err));
    qsort(filler->done, filler->done_count, sizeof *filler->done, by_name);
    tr_digest_reset(filler->digest);
    for (uint64_t i = 0; i < filler->done_count; i++) {
        const struct tensor_digest *done = &filler->done[i];
        tr_digest_update(filler->digest, done->name, strlen(done->name) + 1);
        tr_digest_update(filler->digest, done->line, strlen(done->line) + 1);
    }
    tr_digest_text(filler->digest, out);
    return TR_OK;
}
