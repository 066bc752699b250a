// SPDX-License-Identifier: Apache-2.0
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20 };

bool tr_mul(uint64_t a, uint64_t b, uint64_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

bool tr_add(uint64_t a, uint64_t b, uint64_t *sum) {
    return !__builtin_add_overflow(a, b, sum);
}

static enum tr_status no_memory(uint64_t count, size_t size, const char *what, struct tr_err *err) {
    return tr_fail(err, TR_ENOMEM, "no memory for %s (%llu x %zu bytes)", what,
                   (unsigned long long)count, size);
}

enum tr_status tr_alloc_unset(void **memory_p, uint64_t count, size_t size, const char *what,
                              struct tr_err *err) {
    uint64_t bytes, padded;
    if (!tr_mul(count ? count : 1, size, &bytes))
        return no_memory(count, size, what, err);
    uint64_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : CACHE_LINE;
    if (!tr_add(bytes, alignment - 1, &padded) || padded > SIZE_MAX / 2)
        return no_memory(count, size, what, err);
    void *memory = aligned_alloc((size_t)alignment, (size_t)(padded & -alignment));
    if (!memory)
        return no_memory(count, size, what, err);
    if (alignment == HUGE_PAGE) // a fifth of the time to zero it
        madvise(memory, (size_t)bytes, MADV_HUGEPAGE);
    *memory_p = memory;
    return TR_OK;
}

enum tr_status tr_alloc(void **memory_p, uint64_t count, size_t size, const char *what,
                        struct tr_err *err) {
    void *memory;
    TR_TRY(tr_alloc_unset(&memory, count, size, what, err));
    memset(memory, 0, (size_t)((count ? count : 1) * size));
    *memory_p = memory;
    return TR_OK;
}

enum tr_status tr_grow(void **memory_p, uint64_t *capacity_p, uint64_t wanted, size_t size,
                       const char *what, struct tr_err *err) {
    if (wanted <= *capacity_p)
        return TR_OK;
    uint64_t capacity = *capacity_p ? *capacity_p : 16, bytes;
    while (capacity < wanted)
        if (!tr_mul(capacity, 2, &capacity))
            return no_memory(wanted, size, what, err);
    if (!tr_mul(capacity, size, &bytes) || bytes > SIZE_MAX / 2)
        return no_memory(capacity, size, what, err);
    void *memory = realloc(*memory_p, (size_t)bytes);
    if (!memory)
        return no_memory(capacity, size, what, err);
    *memory_p = memory;
    *capacity_p = capacity;
    return TR_OK;
}

enum tr_status tr_strdup(char **copy_p, const char *text, struct tr_err *err) {
    char *copy = strdup(text);
    if (!copy)
        return no_memory(strlen(text) + 1, 1, "a string", err);
    *copy_p = copy;
    return TR_OK;
}
