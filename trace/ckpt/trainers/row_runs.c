// SPDX-License-Identifier: Apache-2.0
#include "row_runs.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct making {
    struct tr_row_runs *runs;
    const struct tr_model_numbers *numbers;
    int64_t rows; // of the old tensor
    const char *name;
    struct tr_err *err;
};

// Adds rows from, from + step ... behind those that are there.
static enum tr_status add(const struct making *m, int64_t from, int64_t step, int64_t count) {
    struct tr_row_runs *runs = m->runs;
    TR_TRY(tr_grow((void **)&runs->runs, &runs->capacity, (uint64_t)runs->count + 1,
                   sizeof *runs->runs, "the rows of a tensor", m->err));
    runs->runs[runs->count++] = (struct tr_run){runs->rows, from, step, count};
    runs->rows += count;
    return TR_OK;
}

// Adds the rows of one head, in Hugging Face's order.
static enum tr_status add_head(const struct making *m, int64_t from, bool pairs) {
    int64_t size = m->numbers->head_dim;
    if (!pairs)
        return add(m, from, 1, size);
    TR_TRY(add(m, from, 2, size / 2));
    return add(m, from + 1, 2, size / 2);
}

static enum tr_status refuse(const struct making *m, const char *what) {
    return tr_fail(
        m->err, TR_EUNSUPPORTED,
        "%s has %lld rows, which are not %s of %lld query heads, %lld key heads and %lld "
        "rows a head",
        m->name, (long long)m->rows, what, (long long)m->numbers->heads,
        (long long)m->numbers->kv_heads, (long long)m->numbers->head_dim);
}

static enum tr_status in_meta_order(const struct making *m) {
    int64_t size = m->numbers->head_dim;
    if (size < 2 || size % 2 || m->rows % size)
        return refuse(m, "heads");
    for (int64_t from = 0; from < m->rows; from += size)
        TR_TRY(add_head(m, from, true));
    return TR_OK;
}

// Whether the rows are all heads' queries, keys and values.
static bool is_fused(const struct making *m) {
    const struct tr_model_numbers *n = m->numbers;
    return n->heads && n->kv_heads && n->head_dim && n->heads % n->kv_heads == 0 &&
           n->head_dim % 2 == 0 && m->rows == (n->heads + 2 * n->kv_heads) * n->head_dim;
}

// `part`: 0 queries, 1 keys, 2 values.
static enum tr_status of_groups(const struct making *m, int part) {
    const struct tr_model_numbers *n = m->numbers;
    if (!is_fused(m))
        return refuse(m, "the queries, keys and values by groups");
    int64_t queries = n->heads / n->kv_heads, group = (queries + 2) * n->head_dim;
    for (int64_t g = 0; g < n->kv_heads; g++) {
        int64_t from = g * group + (part ? queries + part - 1 : 0) * n->head_dim;
        TR_TRY(add(m, from, 1, (part ? 1 : queries) * n->head_dim));
    }
    return TR_OK;
}

static enum tr_status of_stack(const struct making *m, int part) {
    const struct tr_model_numbers *n = m->numbers;
    if (!is_fused(m))
        return refuse(m, "the queries, then the keys, then the values");
    int64_t first = (part ? n->heads + (part - 1) * n->kv_heads : 0) * n->head_dim;
    for (int64_t h = 0; h < (part ? n->kv_heads : n->heads); h++)
        TR_TRY(add_head(m, first + h * n->head_dim, n->interleaved && part < 2));
    return TR_OK;
}

static enum tr_status by_heads(const struct making *m) {
    const struct tr_model_numbers *n = m->numbers;
    if (!is_fused(m) || n->heads != n->kv_heads)
        return refuse(m, "as many queries as keys and values");
    for (int64_t h = 0; h < n->heads; h++)
        for (int part = 0; part < 3; part++)
            TR_TRY(add_head(m, (part * n->heads + h) * n->head_dim, false));
    return TR_OK;
}

static enum tr_status half(const struct making *m, int which) {
    if (m->rows % 2)
        return tr_fail(m->err, TR_EUNSUPPORTED, "%s has %lld rows, which are not two halves",
                       m->name, (long long)m->rows);
    return add(m, which * (m->rows / 2), 1, m->rows / 2);
}

static enum tr_status vocabulary(const struct making *m) {
    int64_t known = m->numbers->vocabulary;
    return add(m, 0, 1, known && known < m->rows ? known : m->rows);
}

static enum tr_status make(const struct making *m, enum tr_layout layout) {
    switch (layout) {
    case TR_META_ORDER:
        return in_meta_order(m);
    case TR_GROUP_Q:
    case TR_GROUP_K:
    case TR_GROUP_V:
        return of_groups(m, layout - TR_GROUP_Q);
    case TR_STACK_Q:
    case TR_STACK_K:
    case TR_STACK_V:
        return of_stack(m, layout - TR_STACK_Q);
    case TR_STACK_HEADS:
        return by_heads(m);
    case TR_FIRST_HALF:
    case TR_SECOND_HALF:
        return half(m, layout - TR_FIRST_HALF);
    case TR_VOCABULARY:
        return vocabulary(m);
    case TR_AS_IT_IS:
    case TR_TRANSPOSED:
        break;
    }
    return add(m, 0, 1, m->rows);
}

enum tr_status tr_row_runs_make(struct tr_row_runs *runs, enum tr_layout layout, int64_t rows,
                                const struct tr_model_numbers *numbers, const char *name,
                                struct tr_err *err) {
    struct tr_row_runs made = {0};
    const struct making making = {
        .runs = &made, .numbers = numbers, .rows = rows, .name = name, .err = err};
    enum tr_status status = make(&making, layout);
    if (status == TR_OK)
        *runs = made;
    else
        tr_row_runs_free(&made);
    return status;
}

enum tr_status tr_row_runs_of_rank(struct tr_row_runs *runs, int rank, int ranks, int64_t rows,
                                   int parts, struct tr_err *err) {
    int64_t part = rows / parts;
    TR_TRY(TR_NEW(&runs->runs, (uint64_t)parts, "the rows of a tensor", err));
    for (int i = 0; i < parts; i++)
        runs->runs[i] = (struct tr_run){(i * ranks + rank) * part, i * part, 1, part};
    runs->count = parts;
    runs->rows = rows * ranks;
    return TR_OK;
}

void tr_row_runs_free(struct tr_row_runs *runs) {
    free(runs->runs);
    *runs = (struct tr_row_runs){0};
}
