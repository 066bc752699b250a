// SPDX-License-Identifier: Apache-2.0
// The CPU backend: our own threads over fixed tiles, inside each tile a single-threaded CBLAS call
// or a vectorised row op. So the bits depend on the shapes alone.
#include "cpu.h"

#include <limits.h>
#include <omp.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "reference.h"

enum { HUGE_PAGE = 2 << 20 };

// Large blocks ask for huge pages: a product walks rows that are kilobytes apart.
static void *allocate(size_t bytes) {
    size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : 64;
    if (bytes > SIZE_MAX - alignment)
        return NULL;
    void *memory = aligned_alloc(alignment, bytes ? (bytes + alignment - 1) & -alignment : 64);
    if (memory && alignment == HUGE_PAGE)
        madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

// From any thread, so it is not counted.
static enum kn_status cpu_host_alloc(struct kn_backend *self, void **memory_p, size_t bytes) {
    (void)self;
    void *memory = allocate(bytes);
    if (!memory)
        return KN_ENOMEM;
    *memory_p = memory;
    return KN_OK;
}

static enum kn_status cpu_alloc(struct kn_backend *self, void **memory_p, size_t bytes) {
    void *memory;
    enum kn_status status = cpu_host_alloc(self, &memory, bytes);
    if (status != KN_OK)
        return status;
    status = kn_blocks_add(&((struct cpu_backend *)self)->blocks, self, memory, bytes);
    if (status != KN_OK)
        free(memory);
    else
        *memory_p = memory;
    return status;
}

static void cpu_free(struct kn_backend *self, void *memory) {
    kn_blocks_remove(&((struct cpu_backend *)self)->blocks, self, memory);
    free(memory);
}

enum kn_status cpu_reserve(struct kn_backend *self, struct cpu_scratch *scratch_p, size_t common,
                           size_t each) {
    struct cpu_backend *cpu = (struct cpu_backend *)self;
    size_t threads = (size_t)self->threads, total;
    common = (common + 63) & ~(size_t)63;
    each = (each + 4095) & ~(size_t)4095;
    if (__builtin_mul_overflow(each, threads, &total) ||
        __builtin_add_overflow(common, total, &total))
        return KN_ENOMEM;
    if (total > cpu->scratch_size) {
        free(cpu->scratch);
        cpu->scratch = allocate(total);
        cpu->scratch_size = cpu->scratch ? total : 0;
    }
    if (total && !cpu->scratch)
        return KN_ENOMEM;
    *scratch_p = (struct cpu_scratch){cpu->scratch, (char *)cpu->scratch + common, each};
    return KN_OK;
}

void *cpu_thread_scratch(const struct cpu_scratch *scratch) {
    return scratch->each + (size_t)omp_get_thread_num() * scratch->each_size;
}

bool cpu_fits_blas(const struct kn_matrix *m) {
    return m->rows <= INT_MAX && m->cols <= INT_MAX && m->stride <= INT_MAX;
}

static void cpu_close(struct kn_backend *self) {
    struct cpu_backend *cpu = (struct cpu_backend *)self;
    free(cpu->scratch);
    kn_blocks_free(&cpu->blocks);
    free(cpu);
}

enum kn_status kn_cpu_open(struct kn_backend **kn_p, const struct kn_options *options) {
    struct cpu_backend *cpu = calloc(1, sizeof *cpu);
    if (!cpu)
        return KN_ENOMEM;
    cpu->table = kn_reference_ops;
    cpu->table.name = "cpu";
    cpu->table.alloc = cpu_alloc;
    cpu->table.free = cpu_free;
    cpu->table.host_alloc = cpu_host_alloc;
    cpu->table.product = cpu_product;
    cpu->table.grouped_product = cpu_grouped_product;
    cpu->table.norm = cpu_norm;
    cpu->table.rope = cpu_rope;
    cpu->table.attention = cpu_attention;
    cpu->table.decode_attention = cpu_decode_attention;
    cpu->table.head_product = cpu_head_product;
    cpu->table.head_norm = cpu_head_norm;
    cpu->table.copy_heads = cpu_copy_heads;
    cpu->table.scale = cpu_scale;
    cpu->table.route = cpu_route;
    cpu->table.gather = cpu_gather;
    cpu->table.combine = cpu_combine;
    cpu->table.convolution = cpu_convolution;
    cpu->table.scan = cpu_scan;
    cpu->table.gate = cpu_gate;
    cpu->table.block_end = cpu_block_end;
    cpu->table.summary = cpu_summary;
    cpu->table.gram = cpu_gram;
    cpu->table.inner_products = cpu_inner_products;
    cpu->table.second_moment = cpu_second_moment;
    cpu->table.convert = cpu_convert;
    cpu->table.embed = cpu_embed;
    cpu->table.loss = cpu_loss;
    cpu->table.divergence = cpu_divergence;
    cpu->table.comparison = cpu_comparison;
    cpu->table.inverse_factor = cpu_inverse_factor;
    cpu->table.compensation = cpu_compensation;
    cpu->table.squared_outputs = cpu_squared_outputs;
    cpu->table.close = cpu_close;
    cpu->public.ops = &cpu->table;
    cpu->public.activation_type = KN_F32;
    cpu->public.unified = true;
    cpu->public.threads = options->threads > 0 ? options->threads : omp_get_num_procs();
    cpu_prepare_blas();
    cpu_describe_blas(&cpu->public);
    *kn_p = &cpu->public;
    return KN_OK;
}
