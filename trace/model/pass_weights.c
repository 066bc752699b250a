// SPDX-License-Identifier: Apache-2.0
#include "model/pass_weights.h"

#include <string.h>

static enum tr_status open_streamed(struct tr_pass_weights *w, struct tr_err *err) {
    size_t largest = w->loaded.largest_slab;
    size_t converted = w->kn->unified ? 0 : w->loaded.converted[w->kn->activation_type];
    TR_TRY(tr_slab_reader_open(&w->reader, w->kn, largest, 0, err));
    return tr_streamed_new(&w->streamed, w->kn, largest, converted, err);
}

enum tr_status tr_pass_weights_open(struct tr_pass_weights *weights, struct kn_backend *kn,
                                    const char *folder, const struct tr_wanted *wanted,
                                    double memory, struct tr_err *err) {
    struct tr_pass_weights w = {.kn = kn, .folder = folder, .wanted = *wanted};
    w.wanted.device = !kn->unified;
    double bytes;
    TR_TRY(tr_resident_examine(&w.loaded, &bytes, kn, folder, &w.wanted, err));
    enum tr_status status = bytes <= memory
                                ? tr_resident_open(&w.resident, kn, folder, &w.wanted, err)
                                : open_streamed(&w, err);
    if (status == TR_OK)
        *weights = w;
    else
        tr_pass_weights_close(&w);
    return status;
}

void tr_pass_weights_close(struct tr_pass_weights *w) {
    tr_resident_close(w->resident);
    tr_streamed_free(w->streamed);
    tr_slab_reader_close(w->reader);
    *w = (struct tr_pass_weights){0};
}

double tr_pass_weights_bytes(const struct tr_pass_weights *w) {
    if (w->resident)
        return tr_resident_bytes(w->resident);
    if (w->kn->unified)
        return (double)tr_slab_reader_least(w->kn) * (double)w->loaded.largest_slab;
    return tr_streamed_bytes(w->kn, w->loaded.largest_slab,
                             w->loaded.converted[w->kn->activation_type]);
}

// Passes are of the same files.
static enum tr_status begin_unchanged(struct tr_pass_weights *w, struct tr_err *err) {
    struct tr_loaded loaded;
    char digest[TR_DIGEST_MAX];
    TR_TRY(tr_slab_reader_begin(w->reader, &loaded, err));
    if (!strcmp(loaded.identity, w->loaded.identity) &&
        !strcmp(loaded.config_digest, w->loaded.config_digest))
        return TR_OK;
    tr_slab_reader_end(w->reader, digest);
    return tr_fail(err, TR_EIO, "%s changed while it was read for one pass after the other",
                   w->folder);
}

enum tr_status tr_pass_weights_begin_without(struct tr_pass_weights *w,
                                             const struct tr_drop_set *drop,
                                             struct tr_weight_source *source, struct tr_err *err) {
    struct tr_wanted wanted = w->wanted;
    w->passes++;
    if (w->resident) {
        *source = tr_resident_source(w->resident);
        return TR_OK;
    }
    wanted.drop = drop ? drop : wanted.drop;
    TR_TRY(tr_slab_reader_push(w->reader, w->folder, &wanted, err));
    TR_TRY(begin_unchanged(w, err));
    *source = tr_streamed_begin(w->streamed, w->reader);
    return TR_OK;
}

enum tr_status tr_pass_weights_begin(struct tr_pass_weights *w, struct tr_weight_source *source,
                                     struct tr_err *err) {
    return tr_pass_weights_begin_without(w, NULL, source, err);
}

void tr_pass_weights_end(struct tr_pass_weights *w) {
    char digest[TR_DIGEST_MAX];
    if (w->resident)
        return;
    w->waited += tr_streamed_waited(w->streamed);
    tr_slab_reader_end(w->reader, digest);
}
