// SPDX-License-Identifier: Apache-2.0
#ifndef KN_PAGE_LOCKED_H
#define KN_PAGE_LOCKED_H

#include <cuda_runtime.h>
#include <stddef.h>

// Page-locked host memory that all devices can copy from, for the current device. Pages come from
// several threads, large where the system has such: cudaHostAlloc takes them one after the other,
// which is most of what a ring of slabs costs before the first of them can be used.
// cudaErrorMemoryAllocation when there is none. Freed with page_locked_free.
cudaError_t page_locked_alloc(void **memory_p, size_t bytes);
void page_locked_free(void *memory);

#endif
