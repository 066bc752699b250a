// SPDX-License-Identifier: Apache-2.0
// Causal attention: which kernel takes an op, and what it is given. A tile's masked scores weigh
// zero, and zero times a value that is not finite is NaN: where outputs are not finite, the tile
// kernels leave a mark, and the rows there are computed again one by one, from the keys they see.
#include "attention.cuh"

#include <limits.h>

enum { SECTION_BYTES = 24 << 20 }; // of keys and values, to stay in the second-level cache

static bool rows_takes(const struct attention_launch *launch) {
    (void)launch;
    return true;
}

struct kernel {
    bool (*takes)(const struct attention_launch *launch);
    enum kn_status (*run)(struct kn_backend *self, struct attention_launch *launch);
};

static const struct kernel kernels[] = {
    {attention_hopper_takes, attention_hopper}, // ATTENTION_HOPPER
    {attention_mma_takes, attention_mma},       // ATTENTION_MMA
    {attention_simt_takes, attention_simt},     // ATTENTION_SIMT
    {rows_takes, attention_rows},               // ATTENTION_ROWS
};

static struct attention_heads heads_of(const struct kn_heads *h) {
    size_t size = kn_type_size(h->x.type);
    int64_t width = (int64_t)(16 / size), pitch = h->count == 1 ? h->dim : h->pitch;
    const char *data = (const char *)h->x.data + size * (size_t)h->first_col;
    bool is_packed = (uintptr_t)data % 16 == 0 && h->x.stride % width == 0 && pitch % width == 0 &&
                     h->dim % width == 0;
    return (struct attention_heads){data, h->x.stride, pitch, is_packed};
}

static int section_of(const struct attention_task *task, enum kn_type type) {
    int64_t bytes = (int64_t)attention_end(*task) * (task->dim + task->v_dim) *
                    (int64_t)kn_type_size(type) / task->group;
    int64_t pairs = SECTION_BYTES / (bytes > 0 ? bytes : 1);
    int64_t all = attention_pairs(*task);
    return (int)(pairs < 1 ? 1 : pairs < all ? pairs : all);
}

static struct attention_task task_of(const struct kn_attention *op, int64_t first_head) {
    struct kn_heads y = {op->y, 0, op->q.count, op->v.dim, op->v.dim};
    int64_t heads = op->q.count - first_head;
    struct attention_task task = {};
    task.y = heads_of(&y);
    task.q = heads_of(&op->q);
    task.k = heads_of(&op->k);
    task.v = heads_of(&op->v);
    task.sequences = (int)(op->y.rows / op->sequences.queries);
    task.queries = (int)op->sequences.queries;
    task.keys = (int)op->sequences.keys;
    task.first = (int)op->sequences.first;
    int end = attention_end(task);
    task.window = op->window > 0 && op->window < end ? (int)op->window : end;
    task.chunks = op->chunks && task.window < end;
    task.heads = heads < ATTENTION_HEADS ? (int)heads : (int)ATTENTION_HEADS;
    task.first_head = (int)first_head;
    task.group = (int)(op->q.count / op->k.count);
    task.dim = (int)op->q.dim;
    task.v_dim = (int)op->v.dim;
    task.scale = op->scale;
    task.softcap = op->softcap;
    task.has_slopes = op->slopes != NULL;
    task.slopes_bf16 = op->slopes_bf16;
    task.sinks = op->sinks;
    task.is_rich = op->slopes || op->softcap > 0;
    for (int h = 0; op->slopes && h < task.heads; h++)
        task.slopes[h] = op->slopes[first_head + h];
    return task;
}

// Marks, then the counter: zeros.
static enum kn_status reserve_marks(struct kn_backend *self, struct attention_launch *launch) {
    struct attention_task *task = &launch->task;
    size_t count = (size_t)attention_pairs(*task) * (size_t)attention_units(*task);
    void *memory;
    KN_TRY(cuda_reserve(self, &memory, (count + 1) * sizeof(unsigned)));
    task->marks = (unsigned *)memory;
    task->next_tile = task->marks + count;
    return cuda_check(self,
                      cudaMemsetAsync(memory, 0, (count + 1) * sizeof(unsigned), launch->stream),
                      "clearing attention's marks");
}

static struct attention_launch launch_of(struct kn_backend *self, const struct kn_attention *op,
                                         int64_t first_head) {
    const struct cuda_backend *cuda = cuda_of(self);
    struct attention_launch launch = {};
    launch.task = task_of(op, first_head);
    launch.type = self->activation_type;
    launch.stream = cuda->ops;
    launch.capability = cuda->capability;
    launch.processors = cuda->processors;
    launch.task.section = section_of(&launch.task, launch.type);
    return launch;
}

static enum attention_kernel choice_of(const struct attention_launch *launch,
                                       enum attention_kernel first) {
    int choice = first;
    while (!kernels[choice].takes(launch))
        choice++;
    return (enum attention_kernel)choice;
}

enum attention_kernel attention_choice(struct kn_backend *self, const struct kn_attention *op,
                                       enum attention_kernel first) {
    struct attention_launch launch = launch_of(self, op, 0);
    return choice_of(&launch, first);
}

enum kn_status attention_run(struct kn_backend *self, const struct kn_attention *op,
                             enum attention_kernel first) {
    KN_TRY(kn_check_attention(op, self->activation_type));
    if (op->y.rows == 0)
        return KN_OK;
    if (op->y.rows > INT_MAX / ATTENTION_HEADS || op->k.x.rows > INT_MAX / ATTENTION_HEADS ||
        op->q.count > INT_MAX)
        return KN_EUNSUPPORTED;
    for (int64_t head = 0; head < op->q.count; head += ATTENTION_HEADS) {
        struct attention_launch launch = launch_of(self, op, head);
        enum attention_kernel choice = choice_of(&launch, first);
        if (choice != ATTENTION_ROWS) {
            KN_TRY(reserve_marks(self, &launch));
            KN_TRY(kernels[choice].run(self, &launch));
        }
        KN_TRY(attention_rows(self, &launch));
    }
    return KN_OK;
}

enum kn_status cuda_attention(struct kn_backend *self, const struct kn_attention *op) {
    return attention_run(self, op, ATTENTION_HOPPER);
}
