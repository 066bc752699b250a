// SPDX-License-Identifier: Apache-2.0
// Merging: the symbols of a word in a doubly linked list, the pairs that can be merged in a binary
// heap by (rank, position), so that a word of n symbols costs O(n log n) however long it is.
#include "bpe.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "bpe_merges.h"
#include "model.h"

struct tr_bpe_candidate {
    int32_t rank, position; // of the left symbol
    int32_t id;             // what the pair becomes
};

// One word being merged.
struct merger {
    const struct tr_model *model;
    struct tr_bpe_scratch *scratch;
    const char *word;
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

// The token that two neighbours are together, by text. Notes where a token that is taken apart
// again came from.
static bool join_texts(const struct merger *m, const struct tr_bpe_symbol *left,
                       const struct tr_bpe_symbol *right, struct tr_bpe_candidate *joined) {
    const struct tr_bpe *bpe = &m->model->bpe;
    size_t size = (size_t)left->size + (size_t)right->size;
    if (left->frozen || right->frozen || size > bpe->longest)
        return false;
    int32_t id = tr_vocabulary_find(&m->model->vocabulary, m->word + left->start, size);
    if (id < 0)
        return false;
    joined->id = id;
    joined->rank = bpe->ranks[id];
    if (bpe->unused && bpe->unused[id])
        m->scratch->left_sizes[id] = left->size;
    return true;
}

static bool join(const struct merger *m, const struct tr_bpe_symbol *left,
                 const struct tr_bpe_symbol *right, struct tr_bpe_candidate *joined) {
    const struct tr_bpe *bpe = &m->model->bpe;
    if (bpe->ranks)
        return join_texts(m, left, right, joined);
    const struct tr_merge *merge = &bpe->merges[slot_of(bpe, left->id, right->id)];
    joined->id = merge->id;
    joined->rank = merge->rank;
    return merge->left >= 0;
}

// Offers the pair of the symbol at `left` and its right neighbour, when there is one with a rank.
static void offer(const struct merger *m, int32_t left) {
    const struct tr_bpe_symbol *symbols = m->scratch->symbols;
    struct tr_bpe_candidate candidate = {.position = left};
    if (left >= 0 && symbols[left].next >= 0 &&
        join(m, &symbols[left], &symbols[symbols[left].next], &candidate))
        heap_push(m->scratch, candidate);
}

// Whether the pair that was offered is still there.
static bool still_there(const struct merger *m, struct tr_bpe_candidate top) {
    const struct tr_bpe_symbol *symbols = m->scratch->symbols, *left = &symbols[top.position];
    struct tr_bpe_candidate now;
    return left->id >= 0 && left->next >= 0 && join(m, left, &symbols[left->next], &now) &&
           now.id == top.id;
}

static void merge_all(const struct merger *m) {
    struct tr_bpe_symbol *symbols = m->scratch->symbols;
    while (m->scratch->heap_count) {
        struct tr_bpe_candidate top = heap_pop(m->scratch);
        if (!still_there(m, top))
            continue;
        struct tr_bpe_symbol *left = &symbols[top.position], *right = &symbols[left->next];
        left->id = m->model->bpe.ranks ? 0 : top.id;
        left->size += right->size;
        left->next = right->next;
        right->id = -1;
        if (left->next >= 0)
            symbols[left->next].previous = top.position;
        offer(m, left->previous);
        offer(m, top.position);
    }
}

static enum tr_status reserve_left_sizes(const struct tr_model *model,
                                         struct tr_bpe_scratch *scratch, struct tr_err *err) {
    if (!model->bpe.unused || scratch->left_sizes)
        return TR_OK;
    return TR_NEW(&scratch->left_sizes, model->vocabulary.size, "a word", err);
}

enum tr_status tr_bpe_merge(const struct tr_model *model, struct tr_bpe_scratch *scratch,
                            const char *word, int32_t count, struct tr_err *err) {
    // Each merge offers at most two pairs, so the heap never holds more than 3 per symbol.
    TR_TRY(tr_grow((void **)&scratch->heap, &scratch->heap_capacity, 3 * (uint64_t)count,
                   sizeof *scratch->heap, "a word", err));
    TR_TRY(reserve_left_sizes(model, scratch, err));
    struct merger m = {model, scratch, word};
    for (int32_t i = 0; i < count; i++)
        offer(&m, i);
    merge_all(&m);
    return TR_OK;
}

void tr_bpe_scratch_free(struct tr_bpe_scratch *scratch) {
    free(scratch->symbols);
    free(scratch->heap);
    free(scratch->left_sizes);
    *scratch = (struct tr_bpe_scratch){0};
}

void tr_bpe_free(struct tr_bpe *bpe) {
    free(bpe->merges);
    free(bpe->ranks);
    free(bpe->unused);
    tr_prefix_free(&bpe->frozen);
    *bpe = (struct tr_bpe){0};
}
