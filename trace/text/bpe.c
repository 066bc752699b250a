// SPDX-License-Identifier: Apache-2.0
// Merging: the symbols of a word in a doubly linked list, the pairs that can be merged in a binary
// heap by (rank, position), so that a word of n bytes costs O(n log n) however long it is.
#include "bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bpe_merges.h"

struct tr_bpe_symbol {
    int32_t id;             // -1: merged into its left neighbour
    int32_t previous, next; // positions, -1 at the ends
};

struct tr_bpe_candidate {
    int32_t rank, position; // of the left symbol
    int32_t id;             // what the pair becomes
};

static uint64_t slot_of(const struct tr_bpe *bpe, int32_t left, int32_t right) {
    uint64_t mask = bpe->merge_slots - 1;
    uint64_t hash = ((uint64_t)left << 32 | (uint32_t)right) * UINT64_C(0x9e3779b97f4a7c15);
    for (uint64_t slot = (hash ^ hash >> 32) & mask;; slot = (slot + 1) & mask) {
        const struct tr_merge *merge = &bpe->merges[slot];
        if (merge->left < 0 || (merge->left == left && merge->right == right))
            return slot;
    }
}

enum tr_status tr_merges_reserve(struct tr_bpe *bpe, uint64_t count, struct tr_err *err) {
    uint64_t slots = 16;
    while (slots < 2 * count)
        slots *= 2;
    TR_TRY(TR_NEW(&bpe->merges, slots, "the merges", err));
    for (uint64_t i = 0; i < slots; i++)
        bpe->merges[i].left = -1;
    bpe->merge_slots = slots;
    return TR_OK;
}

void tr_merges_set(struct tr_bpe *bpe, struct tr_merge merge) {
    bpe->merges[slot_of(bpe, merge.left, merge.right)] = merge;
}

const struct tr_merge *tr_merges_find(const struct tr_bpe *bpe, int32_t left, int32_t right) {
    const struct tr_merge *merge = &bpe->merges[slot_of(bpe, left, right)];
    return merge->left < 0 ? NULL : merge;
}

static bool comes_before(struct tr_bpe_candidate a, struct tr_bpe_candidate b) {
    return a.rank != b.rank ? a.rank < b.rank : a.position < b.position;
}

static void heap_push(struct tr_bpe_scratch *scratch, struct tr_bpe_candidate candidate) {
    struct tr_bpe_candidate *heap = scratch->heap;
    int64_t at = scratch->heap_count++;
    for (int64_t parent; at > 0 && comes_before(candidate, heap[parent = (at - 1) / 2]);
         at = parent)
        heap[at] = heap[parent];
    heap[at] = candidate;
}

static struct tr_bpe_candidate heap_pop(struct tr_bpe_scratch *scratch) {
    struct tr_bpe_candidate *heap = scratch->heap, top = heap[0];
    struct tr_bpe_candidate last = heap[--scratch->heap_count];
    int64_t at = 0, count = scratch->heap_count;
    for (;;) {
        int64_t child = 2 * at + 1;
        if (child + 1 < count && comes_before(heap[child + 1], heap[child]))
            child++;
        if (child >= count || !comes_before(heap[child], last))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

// Offers the pair of the symbol at `left` and its right neighbour, when there is one with a rank.
static void offer(const struct tr_bpe *bpe, struct tr_bpe_scratch *scratch, int32_t left) {
    const struct tr_bpe_symbol *symbols = scratch->symbols;
    if (left < 0 || symbols[left].next < 0)
        return;
    const struct tr_merge *merge =
        tr_merges_find(bpe, symbols[left].id, symbols[symbols[left].next].id);
    if (merge)
        heap_push(scratch, (struct tr_bpe_candidate){merge->rank, left, merge->id});
}

static void merge_all(const struct tr_bpe *bpe, struct tr_bpe_scratch *scratch) {
    struct tr_bpe_symbol *symbols = scratch->symbols;
    while (scratch->heap_count) {
        struct tr_bpe_candidate top = heap_pop(scratch);
        struct tr_bpe_symbol *left = &symbols[top.position];
        if (left->id < 0 || left->next < 0)
            continue;
        struct tr_bpe_symbol *right = &symbols[left->next];
        const struct tr_merge *merge = tr_merges_find(bpe, left->id, right->id);
        if (!merge || merge->id != top.id)
            continue; // one of the two has changed since
        left->id = top.id;
        left->next = right->next;
        right->id = -1;
        if (left->next >= 0)
            symbols[left->next].previous = top.position;
        offer(bpe, scratch, left->previous);
        offer(bpe, scratch, top.position);
    }
}

// The bytes that have a token, as a linked list; returns their number.
static int32_t lay_out(const struct tr_bpe *bpe, struct tr_bpe_scratch *scratch, const char *word,
                       size_t size) {
    int32_t count = 0;
    for (size_t i = 0; i < size; i++) {
        int32_t id = bpe->byte_ids[(unsigned char)word[i]];
        if (id < 0)
            continue;
        scratch->symbols[count] = (struct tr_bpe_symbol){id, count - 1, count + 1};
        count++;
    }
    if (count)
        scratch->symbols[count - 1].next = -1;
    return count;
}

// The id of the word as a whole, -1 when it is no token.
static enum tr_status find_whole(const struct tr_bpe *bpe, struct tr_bpe_scratch *scratch,
                                 const char *word, size_t size, int32_t *id_p, struct tr_err *err) {
    scratch->spelled.size = 0;
    for (size_t i = 0; i < size; i++) {
        char spelled[2];
        size_t length = tr_byte_spell((unsigned char)word[i], spelled);
        TR_TRY(tr_string_append(&scratch->spelled, spelled, length, err));
    }
    *id_p = tr_vocabulary_find(&bpe->vocabulary, scratch->spelled.data, scratch->spelled.size);
    return TR_OK;
}

enum tr_status tr_ids_append(struct tr_ids *ids, int32_t id, struct tr_err *err) {
    TR_TRY(tr_grow((void **)&ids->ids, &ids->capacity, (uint64_t)ids->count + 1, sizeof *ids->ids,
                   "token ids", err));
    ids->ids[ids->count++] = id;
    return TR_OK;
}

enum tr_status tr_bpe_word(const struct tr_bpe *bpe, struct tr_bpe_scratch *scratch,
                           const char *word, size_t size, struct tr_ids *ids, struct tr_err *err) {
    if (size > INT32_MAX / 4)
        return tr_fail(err, TR_EUNSUPPORTED, "a word of %zu bytes is more than BPE can merge",
                       size);
    if (bpe->ignore_merges) {
        int32_t id;
        TR_TRY(find_whole(bpe, scratch, word, size, &id, err));
        if (id >= 0)
            return tr_ids_append(ids, id, err);
    }
    // Each merge offers at most two pairs, so the heap never holds more than 3 per byte.
    TR_TRY(tr_grow((void **)&scratch->symbols, &scratch->symbol_capacity, size,
                   sizeof *scratch->symbols, "a word", err));
    TR_TRY(tr_grow((void **)&scratch->heap, &scratch->heap_capacity, 3 * size,
                   sizeof *scratch->heap, "a word", err));
    int32_t count = lay_out(bpe, scratch, word, size);
    for (int32_t i = 0; i < count; i++)
        offer(bpe, scratch, i);
    merge_all(bpe, scratch);
    for (int32_t i = 0; i >= 0 && i < count; i = scratch->symbols[i].next)
        TR_TRY(tr_ids_append(ids, scratch->symbols[i].id, err));
    return TR_OK;
}

void tr_bpe_scratch_free(struct tr_bpe_scratch *scratch) {
    free(scratch->symbols);
    free(scratch->heap);
    tr_string_free(&scratch->spelled);
    *scratch = (struct tr_bpe_scratch){0};
}

void tr_bpe_free(struct tr_bpe *bpe) {
    tr_vocabulary_free(&bpe->vocabulary);
    free(bpe->merges);
    *bpe = (struct tr_bpe){0};
}
