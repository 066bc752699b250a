// SPDX-License-Identifier: Apache-2.0
#include "fake_device.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LANES = 2, MAX_BLOCKS = 256, POISON = 0xFF };
enum { HOST_HEADER = 64 }; // bytes before page-locked memory that hold its size

// A piece of queued work: an op, a copy, or a place where the lane waits for the other one.
struct task {
    enum kn_status (*run)(struct kn_backend *cpu, struct task *task); // NULL: waits for `ticket`
    int64_t ticket;
    float parameters[4]; // a product's, as they were when it was called
    void *staged;        // an upload's bytes or candidates, likewise
    size_t staged_bytes;
    union {
        struct kn_product product;
        struct kn_grouped_product grouped_product;
        struct kn_norm norm;
        struct kn_rope rope;
        struct kn_attention attention;
        struct kn_decode_attention decode_attention;
        struct kn_keep keep;
        struct kn_head_product head_product;
        struct kn_convolution convolution;
        struct kn_scan scan;
        struct kn_head_norm head_norm;
        struct kn_copy_heads copy_heads;
        struct kn_scale scale;
        struct kn_route route;
        struct kn_gather gather;
        struct kn_combine combine;
        struct kn_gate gate;
        struct kn_block_end block_end;
        struct kn_summary summary;
        struct kn_gram gram;
        struct kn_inner_products inner_products;
        struct kn_second_moment second_moment;
        struct kn_diagonal diagonal;
        struct kn_inverse_factor inverse_factor;
        struct kn_compensation compensation;
        struct kn_squared_outputs squared_outputs;
        struct kn_conversion convert;
        struct kn_embed embed;
        struct kn_loss loss;
        struct kn_divergence divergence;
        struct kn_comparison comparison;
        struct kn_advance advance;
        struct {
            void *to;
            const void *from;
            size_t bytes;
        } copy;
    } op;
};

struct lane {
    struct task *tasks;
    int64_t done, count, capacity;
};

// Tasks to be done again and again.
struct kn_graph {
    struct lane tasks;
};

struct fake {
    struct kn_backend public;
    struct kn_graph *recording; // NULL: none
    bool is_spoilt;             // what cannot be part of a graph was called
    struct kn_ops table;
    struct kn_backend *cpu;
    enum fake_order order;
    struct lane lanes[LANES]; // KN_LANE_OPS, KN_LANE_COPIES
    struct {
        enum kn_lane lane;
        int64_t ticket; // tasks of the lane that come before the event
    } events[KN_EVENTS];
    struct {
        void *memory;
        size_t bytes;
    } blocks[MAX_BLOCKS];
    size_t host_bytes, host_limit; // page-locked memory taken, and what there is
    pthread_mutex_t host_lock;
};

static struct fake *fake_of(struct kn_backend *self) {
    return (struct fake *)self;
}

// ---- lanes -------------------------------------------------------------------------------------

static void protect(const struct fake *fake, int protection) {
    for (int i = 0; i < MAX_BLOCKS; i++)
        if (fake->blocks[i].memory &&
            mprotect(fake->blocks[i].memory, fake->blocks[i].bytes, protection))
            abort();
}

// Runs the first `ticket` tasks of a lane, those that are left of them.
static enum kn_status run_until(struct fake *fake, enum kn_lane lane, int64_t ticket) {
    struct lane *l = &fake->lanes[lane];
    enum kn_status status = KN_OK;
    while (l->done < ticket && status == KN_OK) {
        struct task task = l->tasks[l->done++];
        if (!task.run) {
            status =
                run_until(fake, lane == KN_LANE_OPS ? KN_LANE_COPIES : KN_LANE_OPS, task.ticket);
            continue;
        }
        protect(fake, PROT_READ | PROT_WRITE);
        status = task.run(fake->cpu, &task);
        protect(fake, PROT_NONE);
        free(task.staged);
    }
    return status;
}

static void append(struct lane *l, const struct task *task) {
    if (l->count == l->capacity) {
        l->capacity = 2 * l->capacity + 64;
        l->tasks = realloc(l->tasks, (size_t)l->capacity * sizeof *l->tasks);
        if (!l->tasks)
            abort();
    }
    l->tasks[l->count++] = *task;
}

// Queues a task. A lane that is not to be late runs it at once.
static enum kn_status push(struct kn_backend *self, enum kn_lane lane, const struct task *task) {
    struct fake *fake = fake_of(self);
    struct lane *l = &fake->lanes[lane];
    bool is_late = fake->order == FAKE_LATE_ALL ||
                   lane == (fake->order == FAKE_LATE_OPS ? KN_LANE_OPS : KN_LANE_COPIES);
    if (fake->recording) {
        append(&fake->recording->tasks, task);
        return KN_OK;
    }
    append(l, task);
    return is_late ? KN_OK : run_until(fake, lane, l->count);
}

// What a graph cannot hold: the host waits, or memory comes from it or goes to it.
static bool spoils(struct kn_backend *self) {
    struct fake *fake = fake_of(self);
    fake->is_spoilt = fake->is_spoilt || fake->recording;
    return fake->recording != NULL;
}

static enum kn_status fake_sync(struct kn_backend *self) {
    if (spoils(self))
        return KN_EUNSUPPORTED;
    return run_until(fake_of(self), KN_LANE_OPS, fake_of(self)->lanes[KN_LANE_OPS].count);
}

static enum kn_status fake_record(struct kn_backend *self, enum kn_lane lane, int event) {
    struct fake *fake = fake_of(self);
    fake->events[event].lane = lane;
    fake->events[event].ticket = fake->lanes[lane].count;
    return KN_OK;
}

static enum kn_status fake_await(struct kn_backend *self, enum kn_lane lane, int event) {
    struct fake *fake = fake_of(self);
    struct task task = {.ticket = fake->events[event].ticket};
    if (lane == KN_LANE_HOST)
        return run_until(fake, fake->events[event].lane, task.ticket);
    return fake->events[event].lane == lane ? KN_OK : push(self, lane, &task);
}

static double fake_lag(struct kn_backend *self, int from, int to) {
    (void)self;
    (void)from;
    (void)to;
    return 0;
}

// ---- ops ---------------------------------------------------------------------------------------

#define OP(name, type)                                                                             \
    static enum kn_status run_##name(struct kn_backend *cpu, struct task *task) {                  \
        return cpu->ops->name(cpu, &task->op.name);                                                \
    }                                                                                              \
    static enum kn_status fake_##name(struct kn_backend *self, const struct type *op) {            \
        struct task task = {.run = run_##name, .op.name = *op};                                    \
        return push(self, KN_LANE_OPS, &task);                                                     \
    }
OP(norm, kn_norm)
OP(rope, kn_rope)
OP(attention, kn_attention)
OP(decode_attention, kn_decode_attention)
OP(keep, kn_keep)
OP(head_product, kn_head_product)
OP(convolution, kn_convolution)
OP(scan, kn_scan)
OP(head_norm, kn_head_norm)
OP(copy_heads, kn_copy_heads)
OP(scale, kn_scale)
OP(route, kn_route)
OP(gather, kn_gather)
OP(combine, kn_combine)
OP(gate, kn_gate)
OP(block_end, kn_block_end)
OP(summary, kn_summary)
OP(gram, kn_gram)
OP(second_moment, kn_second_moment)
OP(diagonal, kn_diagonal)
OP(compensation, kn_compensation)
OP(squared_outputs, kn_squared_outputs)
OP(inner_products, kn_inner_products)
OP(convert, kn_conversion)
OP(embed, kn_embed)
OP(loss, kn_loss)
OP(advance, kn_advance)

static enum kn_status run_product(struct kn_backend *cpu, struct task *task) {
    if (task->op.product.parameters)
        task->op.product.parameters = task->parameters;
    return cpu->ops->product(cpu, &task->op.product);
}

static enum kn_status fake_product(struct kn_backend *self, const struct kn_product *op) {
    struct task task = {.run = run_product, .op.product = *op};
    if (op->w.type != self->activation_type) // a device would convert it at each call
        return KN_EUNSUPPORTED;
    if (op->parameters)
        memcpy(task.parameters, op->parameters, sizeof task.parameters);
    return push(self, KN_LANE_OPS, &task);
}

static enum kn_status run_grouped_product(struct kn_backend *cpu, struct task *task) {
    struct kn_grouped_product *op = &task->op.grouped_product;
    op->product.parameters = task->parameters;
    return cpu->ops->grouped_product(cpu, op);
}

static enum kn_status fake_grouped_product(struct kn_backend *self,
                                           const struct kn_grouped_product *op) {
    struct task task = {.run = run_grouped_product, .op.grouped_product = *op};
    if (op->product.w.type != self->activation_type)
        return KN_EUNSUPPORTED;
    if (op->product.parameters)
        memcpy(task.parameters, op->product.parameters, sizeof task.parameters);
    return push(self, KN_LANE_OPS, &task);
}

static enum kn_status run_inverse_factor(struct kn_backend *cpu, struct task *task) {
    return cpu->ops->inverse_factor(cpu, &task->op.inverse_factor);
}

static enum kn_status fake_inverse_factor(struct kn_backend *self,
                                          const struct kn_inverse_factor *op) {
    struct task task = {.run = run_inverse_factor, .op.inverse_factor = *op};
    if (spoils(self))
        return KN_EUNSUPPORTED;
    enum kn_status status = push(self, KN_LANE_OPS, &task);
    return status == KN_OK ? fake_sync(self) : status;
}

static enum kn_status run_divergence(struct kn_backend *cpu, struct task *task) {
    task->op.divergence.candidate = task->staged;
    return cpu->ops->divergence(cpu, &task->op.divergence);
}

// Pushes a task with its own copy of what the caller has in the host's memory.
static enum kn_status push_with(struct kn_backend *self, struct task *task, const void *host,
                                size_t bytes) {
    task->staged = malloc(bytes + 1);
    if (!task->staged)
        return KN_ENOMEM;
    task->staged_bytes = bytes + 1;
    if (bytes)
        memcpy(task->staged, host, bytes);
    return push(self, KN_LANE_OPS, task);
}

static enum kn_status fake_divergence(struct kn_backend *self, const struct kn_divergence *op) {
    struct task task = {.run = run_divergence, .op.divergence = *op};
    return push_with(self, &task, op->candidate, (size_t)op->candidates * sizeof *op->candidate);
}

static enum kn_status run_comparison(struct kn_backend *cpu, struct task *task) {
    task->op.comparison.candidate = task->staged;
    return cpu->ops->comparison(cpu, &task->op.comparison);
}

static enum kn_status fake_comparison(struct kn_backend *self, const struct kn_comparison *op) {
    struct task task = {.run = run_comparison, .op.comparison = *op};
    return push_with(self, &task, op->candidate, (size_t)op->candidates * sizeof *op->candidate);
}

// ---- memory ------------------------------------------------------------------------------------

static enum kn_status run_copy(struct kn_backend *cpu, struct task *task) {
    (void)cpu;
    memcpy(task->op.copy.to, task->staged ? task->staged : task->op.copy.from, task->op.copy.bytes);
    return KN_OK;
}

static enum kn_status fake_upload(struct kn_backend *self, void *to, const void *from,
                                  size_t bytes) {
    struct task task = {.run = run_copy, .op.copy = {to, from, bytes}};
    if (spoils(self))
        return KN_EUNSUPPORTED;
    task.staged = malloc(bytes + 1);
    if (!task.staged)
        return KN_ENOMEM;
    memcpy(task.staged, from, bytes);
    return push(self, KN_LANE_OPS, &task);
}

static enum kn_status fake_download(struct kn_backend *self, void *to, const void *from,
                                    size_t bytes) {
    struct task task = {.run = run_copy, .op.copy = {to, from, bytes}};
    if (spoils(self))
        return KN_EUNSUPPORTED;
    memset(to, POISON, bytes);
    return push(self, KN_LANE_OPS, &task);
}

static enum kn_status fake_copy_ahead(struct kn_backend *self, void *to, const void *from,
                                      size_t bytes) {
    struct task task = {.run = run_copy, .op.copy = {to, from, bytes}};
    if (fake_of(self)->order == FAKE_LATE_COPIES) {
        protect(fake_of(self), PROT_READ | PROT_WRITE);
        memset(to, POISON, bytes);
        protect(fake_of(self), PROT_NONE);
    }
    return push(self, KN_LANE_COPIES, &task);
}

static enum kn_status fake_alloc(struct kn_backend *self, void **memory_p, size_t bytes) {
    struct fake *fake = fake_of(self);
    int block = 0;
    while (block < MAX_BLOCKS && fake->blocks[block].memory)
        block++;
    if (block == MAX_BLOCKS)
        return KN_ENOMEM;
    size_t size = (bytes + 8191) & ~(size_t)4095;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return KN_ENOMEM;
    memset(memory, POISON, size);
    mprotect(memory, size, PROT_NONE);
    fake->blocks[block].memory = *memory_p = memory;
    fake->blocks[block].bytes = size;
    return KN_OK;
}

static void fake_free(struct kn_backend *self, void *memory) {
    struct fake *fake = fake_of(self);
    fake_sync(self);
    for (int i = 0; memory && i < MAX_BLOCKS; i++) {
        if (fake->blocks[i].memory == memory) {
            munmap(memory, fake->blocks[i].bytes);
            fake->blocks[i].memory = NULL;
        }
    }
}

static enum kn_status fake_host_alloc(struct kn_backend *self, void **memory_p, size_t bytes) {
    struct fake *fake = fake_of(self);
    pthread_mutex_lock(&fake->host_lock);
    bool fits = bytes <= fake->host_limit - fake->host_bytes;
    char *memory = fits ? malloc(HOST_HEADER + bytes) : NULL;
    if (memory)
        fake->host_bytes += bytes;
    pthread_mutex_unlock(&fake->host_lock);
    if (!memory)
        return KN_ENOMEM;
    memcpy(memory, &bytes, sizeof bytes);
    *memory_p = memory + HOST_HEADER;
    return KN_OK;
}

static void fake_host_free(struct kn_backend *self, void *memory) {
    struct fake *fake = fake_of(self);
    char *begin = (char *)memory - HOST_HEADER;
    size_t bytes;
    memcpy(&bytes, begin, sizeof bytes);
    pthread_mutex_lock(&fake->host_lock);
    fake->host_bytes -= bytes;
    pthread_mutex_unlock(&fake->host_lock);
    free(begin);
}

void fake_device_limit_host(struct kn_backend *self, size_t bytes) {
    fake_of(self)->host_limit = bytes;
}

// ---- graphs ------------------------------------------------------------------------------------

static enum kn_status fake_graph_begin(struct kn_backend *self) {
    struct fake *fake = fake_of(self);
    fake->recording = calloc(1, sizeof *fake->recording);
    fake->is_spoilt = false;
    return fake->recording ? KN_OK : KN_ENOMEM;
}

static void fake_graph_free(struct kn_backend *self, struct kn_graph *graph) {
    (void)self;
    for (int64_t i = 0; graph && i < graph->tasks.count; i++)
        free(graph->tasks.tasks[i].staged);
    if (graph)
        free(graph->tasks.tasks);
    free(graph);
}

static enum kn_status fake_graph_end(struct kn_backend *self, struct kn_graph **graph_p) {
    struct fake *fake = fake_of(self);
    struct kn_graph *graph = fake->recording;
    fake->recording = NULL;
    if (fake->is_spoilt) {
        fake_graph_free(self, graph);
        return KN_EUNSUPPORTED;
    }
    *graph_p = graph;
    return KN_OK;
}

static enum kn_status fake_graph_run(struct kn_backend *self, struct kn_graph *graph) {
    enum kn_status status = KN_OK;
    for (int64_t i = 0; i < graph->tasks.count && status == KN_OK; i++) {
        struct task task = graph->tasks.tasks[i];
        if (task.staged) {
            void *own = malloc(task.staged_bytes);
            if (!own)
                return KN_ENOMEM;
            task.staged = memcpy(own, task.staged, task.staged_bytes);
        }
        status = push(self, KN_LANE_OPS, &task);
    }
    return status;
}

static void fake_close(struct kn_backend *self) {
    struct fake *fake = fake_of(self);
    fake_sync(self);
    run_until(fake, KN_LANE_COPIES, fake->lanes[KN_LANE_COPIES].count);
    for (int i = 0; i < MAX_BLOCKS; i++)
        fake_free(self, fake->blocks[i].memory);
    free(fake->lanes[KN_LANE_OPS].tasks);
    free(fake->lanes[KN_LANE_COPIES].tasks);
    fake->cpu->ops->close(fake->cpu);
    pthread_mutex_destroy(&fake->host_lock);
    free(fake);
}

static const struct kn_ops fake_ops = {
    .name = "fake",
    .alloc = fake_alloc,
    .free = fake_free,
    .upload = fake_upload,
    .download = fake_download,
    .sync = fake_sync,
    .host_alloc = fake_host_alloc,
    .host_free = fake_host_free,
    .copy_ahead = fake_copy_ahead,
    .record = fake_record,
    .await = fake_await,
    .lag = fake_lag,
    .graph_begin = fake_graph_begin,
    .graph_end = fake_graph_end,
    .graph_run = fake_graph_run,
    .graph_free = fake_graph_free,
    .close = fake_close,
    .product = fake_product,
    .grouped_product = fake_grouped_product,
    .norm = fake_norm,
    .head_norm = fake_head_norm,
    .rope = fake_rope,
    .attention = fake_attention,
    .decode_attention = fake_decode_attention,
    .keep = fake_keep,
    .head_product = fake_head_product,
    .convolution = fake_convolution,
    .scan = fake_scan,
    .copy_heads = fake_copy_heads,
    .gate = fake_gate,
    .scale = fake_scale,
    .route = fake_route,
    .gather = fake_gather,
    .combine = fake_combine,
    .convert = fake_convert,
    .embed = fake_embed,
    .block_end = fake_block_end,
    .summary = fake_summary,
    .gram = fake_gram,
    .second_moment = fake_second_moment,
    .diagonal = fake_diagonal,
    .inverse_factor = fake_inverse_factor,
    .compensation = fake_compensation,
    .squared_outputs = fake_squared_outputs,
    .inner_products = fake_inner_products,
    .loss = fake_loss,
    .divergence = fake_divergence,
    .comparison = fake_comparison,
    .advance = fake_advance,
};

struct kn_backend *fake_device_open(enum fake_order order) {
    struct fake *fake = calloc(1, sizeof *fake);
    if (!fake || kn_open(&fake->cpu, KN_CPU, &(struct kn_options){.threads = 1}) != KN_OK) {
        free(fake);
        return NULL;
    }
    fake->table = fake_ops;
    fake->order = order;
    fake->host_limit = SIZE_MAX;
    pthread_mutex_init(&fake->host_lock, NULL);
    fake->public.ops = &fake->table;
    fake->public.activation_type = KN_F32;
    fake->public.threads = 1;
    fake->public.memory_free = fake->public.memory_total = (size_t)1 << 30;
    strcpy(fake->public.description, "a device that is none");
    return &fake->public;
}
