// SPDX-License-Identifier: Apache-2.0
#include "search_bookmarks.h"

#include <stdlib.h>

#include "base/alloc.h"

// The first block whose stream an owner may keep: a candidate is the set up to its own.
static int64_t first_of(const struct tr_search_plan *plan, int64_t owner) {
    return owner < plan->count ? plan->candidates[owner].layer + 1 : 1;
}

// How many blocks from `first` on are kept.
static int64_t kept(int64_t first, int64_t layers, int64_t stride) {
    return (layers - 1) / stride - (first - 1) / stride;
}

double tr_search_bookmarks_bytes(const struct tr_search_plan *plan, const struct tr_config *config,
                                 int64_t stride, double tokens) {
    double streams = 0;
    for (int64_t owner = 0; owner <= plan->count; owner++)
        streams += (double)kept(first_of(plan, owner), config->layers, stride);
    return streams * tokens * (double)config->hidden * sizeof(float);
}

static bool is_entered(const struct tr_config *config, int64_t layer) {
    return tr_config_keeps(config, NULL, TR_ATTN, (int)layer) ||
           tr_config_keeps(config, NULL, TR_MLP, (int)layer);
}

static enum tr_status new_owner(struct tr_search_bookmarks *m, const struct tr_config *config,
                                int64_t owner, size_t stream, struct tr_err *err) {
    int64_t first = first_of(m->plan, owner), count = kept(first, m->layers, m->stride);
    TR_TRY(TR_NEW(&m->at[owner], m->layers, "bookmarks", err));
    if (!count)
        return TR_OK;
    if (m->kn->ops->alloc(m->kn, &m->memory[owner], (size_t)count * stream * sizeof(float)) !=
        KN_OK)
        return tr_fail(err, TR_ENOMEM, "out of memory for the streams of a search");
    float *next = m->memory[owner];
    for (int64_t layer = first; layer < m->layers; layer++)
        if (layer % m->stride == 0 && is_entered(config, layer)) {
            m->at[owner][layer] = next;
            next += stream;
        }
    return TR_OK;
}

enum tr_status tr_search_bookmarks_new(struct tr_search_bookmarks *m, struct kn_backend *kn,
                                       const struct tr_search_plan *plan,
                                       const struct tr_config *config, int64_t stride,
                                       int64_t tokens, struct tr_err *err) {
    static const char what[] = "bookmarks";
    *m = (struct tr_search_bookmarks){
        .kn = kn, .plan = plan, .layers = config->layers, .stride = stride};
    if (!stride)
        return TR_OK;
    TR_TRY(TR_NEW(&m->at, plan->count + 1, what, err));
    TR_TRY(TR_NEW(&m->memory, plan->count + 1, what, err));
    TR_TRY(TR_NEW(&m->limit, plan->count + 1, what, err));
    for (int64_t owner = 0; owner <= plan->count; owner++)
        TR_TRY(new_owner(m, config, owner, (size_t)(tokens * config->hidden), err));
    return TR_OK;
}

void tr_search_bookmarks_free(struct tr_search_bookmarks *m) {
    for (int64_t owner = 0; m->stride && owner <= m->plan->count; owner++) {
        if (m->at)
            free(m->at[owner]);
        if (m->memory && m->memory[owner])
            m->kn->ops->free(m->kn, m->memory[owner]);
    }
    free(m->at);
    free(m->memory);
    free(m->limit);
    *m = (struct tr_search_bookmarks){0};
}

struct tr_bookmarks tr_search_bookmarks_of(const struct tr_search_bookmarks *m, int64_t owner,
                                           int64_t latest) {
    if (!m->stride)
        return (struct tr_bookmarks){0};
    int64_t limit = m->limit[owner] < latest ? m->limit[owner] : latest;
    limit = limit < m->layers - 1 ? limit : m->layers - 1;
    int64_t layer = limit - limit % m->stride, first = first_of(m->plan, owner);
    while (layer >= first && !m->at[owner][layer])
        layer -= m->stride;
    bool holds = layer >= first;
    return (struct tr_bookmarks){.at = m->at[owner], .resume = holds ? layer : 0};
}

void tr_search_bookmarks_fill(struct tr_search_bookmarks *m, int64_t owner) {
    if (m->stride)
        m->limit[owner] = m->layers - 1;
}

void tr_search_bookmarks_forget(struct tr_search_bookmarks *m) {
    for (int64_t owner = 0; m->stride && owner <= m->plan->count; owner++)
        m->limit[owner] = 0;
}

void tr_search_bookmarks_drop(struct tr_search_bookmarks *m, int64_t candidate) {
    int64_t layer = m->plan->candidates[candidate].layer;
    for (int64_t owner = 0; m->stride && owner <= m->plan->count; owner++)
        m->limit[owner] = m->limit[owner] < layer ? m->limit[owner] : layer;
}
