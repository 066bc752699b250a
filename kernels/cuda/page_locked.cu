// SPDX-License-Identifier: Apache-2.0
#include "page_locked.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

enum { THREADS = 4 };
static const size_t page = 4096, large_page = (size_t)2 << 20;

// What a mapping is, kept in the page before the memory.
struct mapping {
    void *start;
    size_t bytes;
};

static struct mapping *mapping_of(void *memory) {
    return (struct mapping *)((char *)memory - page);
}

struct stretch {
    char *begin, *end;
};

static void *touch(void *argument) {
    const struct stretch *stretch = (const struct stretch *)argument;
    for (volatile char *at = stretch->begin; at < stretch->end; at += page)
        *at = 0;
    return NULL;
}

// Where a thread cannot be started, its pages come when they are locked.
static void touch_all(char *memory, size_t bytes) {
    pthread_t threads[THREADS];
    struct stretch stretches[THREADS];
    int started = 0;
    size_t each = (bytes / THREADS + large_page - 1) / large_page * large_page;
    for (int i = 0; i < THREADS && (size_t)i * each < bytes; i++) {
        size_t end = (size_t)(i + 1) * each;
        stretches[started] = {memory + (size_t)i * each, memory + (end < bytes ? end : bytes)};
        started += !pthread_create(&threads[started], NULL, touch, &stretches[started]);
    }
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

cudaError_t page_locked_alloc(void **memory_p, size_t bytes) {
    if (bytes > SIZE_MAX - 3 * large_page)
        return cudaErrorMemoryAllocation;
    size_t mapped = bytes + 2 * large_page;
    char *start =
        (char *)mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return cudaErrorMemoryAllocation;
    uintptr_t place = ((uintptr_t)start + page + large_page - 1) & ~(uintptr_t)(large_page - 1);
    char *memory = (char *)place;
    madvise(memory, bytes, MADV_HUGEPAGE); // a wish
    touch_all(memory, bytes);
    cudaError_t code = cudaHostRegister(memory, bytes ? bytes : 1, cudaHostRegisterPortable);
    if (code != cudaSuccess) {
        munmap(start, mapped);
        return code;
    }
    *mapping_of(memory) = {start, mapped};
    *memory_p = memory;
    return cudaSuccess;
}

void page_locked_free(void *memory) {
    if (!memory)
        return;
    struct mapping mapping = *mapping_of(memory);
    cudaHostUnregister(memory);
    munmap(mapping.start, mapping.bytes);
}
