// SPDX-License-Identifier: Apache-2.0
// Rows of one token between their projection and attention: queries and keys are rotated, keys and
// values go into the cache. A few lanes of a warp have a head, packs of its entries each.
#include "dependent.cuh"
#include "turn.cuh"

extern "C" {
#include "reference.h"
}

constexpr int KEEP_THREADS = 128;

// Heads: entry i of head h in row r is data[r * stride + h * pitch + i].
struct keep_heads {
    void *data;
    int64_t stride, pitch;
    int count, dim;
};

struct keep_task {
    struct keep_heads q, k, v, keys, values; // keys and values: the cache's
    int rows, pairs;
    int lanes; // of a head: a power of two, 32 at most
    const float *cos, *sin;
    const int32_t *positions, *key_rows, *value_rows;
    bool is_interleaved;
};

template <typename T>
__device__ static T *head_at(const struct keep_heads &heads, int64_t row, int head) {
    return static_cast<T *>(heads.data) + row * heads.stride + head * heads.pitch;
}

// Pairs i to i + WIDTH - 1 of a head: both entries turned, in place and, where there is one, in the
// copy. WIDTH 1: pairs of neighbours, too.
template <typename T, int WIDTH>
__device__ static void turn_pairs(const struct keep_task &task, T *x, T *copy, int64_t position,
                                  int i) {
    int64_t table = position * task.pairs + i;
    int first = task.is_interleaved ? 2 * i : i;
    int second = task.is_interleaved ? first + 1 : i + task.pairs;
    pack<T, WIDTH> a = load<T, WIDTH>(x + first), b = load<T, WIDTH>(x + second);
#pragma unroll
    for (int j = 0; j < WIDTH; j++)
        turn(&a.v[j], &b.v[j], task.cos[table + j], task.sin[table + j]);
    store(x + first, a);
    store(x + second, b);
    if (copy) {
        store(copy + first, a);
        store(copy + second, b);
    }
}

// What does not turn, and values.
template <typename T, int WIDTH>
__device__ static void copy_entries(const struct keep_task &task, T *to, const T *from, int begin,
                                    int end) {
    int lane = (int)threadIdx.x % task.lanes;
    for (int i = begin + lane * WIDTH; i < end; i += task.lanes * WIDTH)
        store(to + i, load<T, WIDTH>(from + i));
}

template <typename T, int WIDTH>
__global__ void keep_heads_of_rows(const __grid_constant__ struct keep_task task) {
    int heads = task.q.count + task.k.count + task.v.count;
    int at = (int)blockIdx.x * (KEEP_THREADS / task.lanes) + (int)threadIdx.x / task.lanes;
    int row = at / heads, head = at % heads, lane = (int)threadIdx.x % task.lanes;
    await_previous();
    let_next_begin();
    if (row >= task.rows)
        return;
    if (head >= task.q.count + task.k.count) { // a value
        int64_t to = task.value_rows[row];
        head -= task.q.count + task.k.count;
        if (to >= 0)
            copy_entries<T, WIDTH>(task, head_at<T>(task.values, to, head),
                                   head_at<T>(task.v, row, head), 0, task.v.dim);
        return;
    }
    bool is_key = head >= task.q.count;
    head -= is_key ? task.q.count : 0;
    int64_t to = is_key ? task.key_rows[row] : -1, position = task.positions[row];
    T *x = head_at<T>(is_key ? task.k : task.q, row, head);
    T *copy = to >= 0 ? head_at<T>(task.keys, to, head) : NULL;
    for (int i = lane * WIDTH; i < task.pairs; i += task.lanes * WIDTH)
        turn_pairs<T, WIDTH>(task, x, copy, position, i);
    if (copy)
        copy_entries<T, WIDTH>(task, copy, x, 2 * task.pairs, task.k.dim);
}

static struct keep_heads heads_of(const struct kn_heads *h) {
    char *data = (char *)h->x.data + kn_type_size(h->x.type) * (size_t)h->first_col;
    return (struct keep_heads){data, h->x.stride, h->pitch, (int)h->count, (int)h->dim};
}

static struct keep_task task_of(const struct kn_keep *op) {
    struct keep_task task = {};
    task.q = heads_of(&op->q.heads);
    task.k = heads_of(&op->k.heads);
    task.v = heads_of(&op->values.x);
    task.keys = heads_of(&op->keys.y);
    task.values = heads_of(&op->values.y);
    task.rows = (int)op->q.heads.x.rows;
    task.pairs = (int)op->q.pairs;
    task.cos = op->q.cos;
    task.sin = op->q.sin;
    task.positions = op->q.positions;
    task.key_rows = op->keys.rows;
    task.value_rows = op->values.rows;
    task.is_interleaved = op->q.kind == KN_ROPE_INTERLEAVED;
    return task;
}

// Rows of one token each, all heads of one type, turned alike, each key and value with a place.
static bool is_taken(const struct kn_keep *op) {
    const struct kn_rope *q = &op->q, *k = &op->k;
    int64_t heads = q->heads.count + 2 * k->heads.count;
    return q->positions && q->positions == k->positions && q->pairs == k->pairs &&
           q->cos == k->cos && q->sin == k->sin && q->kind == k->kind && op->keys.rows &&
           op->values.rows && op->keys.y.count == k->heads.count &&
           op->keys.x.dim == k->heads.dim && op->values.x.count == op->values.y.count &&
           op->values.x.x.type == q->heads.x.type && q->heads.x.rows < 1 << 16 && heads < 1 << 12 &&
           q->heads.dim < 1 << 16 && op->values.x.dim < 1 << 16;
}

// Whether heads, and the pairs that are turned of them, can be read in packs of `width`.
static bool are_packed(const struct keep_heads &h, enum kn_type type, int pairs, int64_t width) {
    return is_packable(h.data, h.stride, h.dim, type, width) && pairs % width == 0 &&
           (h.pitch % width == 0 || h.count == 1);
}

static bool is_packed(const struct keep_task &task, enum kn_type type, int64_t width) {
    return !task.is_interleaved && are_packed(task.q, type, task.pairs, width) &&
           are_packed(task.k, type, task.pairs, width) &&
           are_packed(task.keys, type, task.pairs, width) && are_packed(task.v, type, 0, width) &&
           are_packed(task.values, type, 0, width);
}

template <typename T, int WIDTH>
static void launch(const struct cuda_backend *cuda, struct keep_task task, int64_t heads) {
    int packs = (task.pairs + WIDTH - 1) / WIDTH;
    task.lanes = packs <= 4 ? 4 : packs <= 8 ? 8 : packs <= 16 ? 16 : WARP;
    launch_dependent(cuda, cuda->ops, task.rows, keep_heads_of_rows<T, WIDTH>,
                     dim3(blocks_of(heads, KEEP_THREADS / task.lanes)), KEEP_THREADS, 0, task);
}

enum kn_status cuda_keep(struct kn_backend *self, const struct kn_keep *op) {
    KN_TRY(kn_check_keep(op, self->activation_type));
    if (!is_taken(op))
        return kn_reference_keep(self, op);
    struct keep_task task = task_of(op);
    int64_t heads = (int64_t)task.rows * (task.q.count + task.k.count + task.v.count);
    if (!heads)
        return KN_OK;
    by_type(op->q.heads.x.type, [&](auto zero) {
        using T = decltype(zero);
        constexpr int WIDTH = 16 / sizeof(T);
        if (is_packed(task, op->q.heads.x.type, WIDTH))
            launch<T, WIDTH>(cuda_of(self), task, heads);
        else
            launch<T, 1>(cuda_of(self), task, heads);
    });
    return cuda_launched(self, "rotating and caching");
}
