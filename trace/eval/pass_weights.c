// SPDX-License-Identifier: Apache-2.0
#include "eval/pass_weights.h"

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
    enum tr_status status = tr_loaded_examine(&w.loaded, folder, &w.wanted, err);
    if (status != TR_OK)
        return status;
    // As read, and again where a device wants another type.
    double bytes = w.loaded.bytes_read * (kn->unified ? 1 : 2);
    status = bytes <= memory ? tr_resident_open(&w.resident, kn, folder, &w.wanted, err)
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

enum tr_status tr_pass_weights_begin(struct tr_pass_weights *w, struct tr_weight_source *source,
                                     struct tr_err *err) {
    if (w->resident) {
        *source = tr_resident_source(w->resident);
        return TR_OK;
    }
    TR_TRY(tr_slab_reader_push(w->reader, w->folder, &w->wanted, err));
    TR_TRY(tr_slab_reader_begin(w->reader, &w->loaded, err));
    *source = tr_streamed_begin(w->streamed, w->reader);
    return TR_OK;
}

void tr_pass_weights_end(struct tr_pass_weights *w) {
    char digest[TR_DIGEST_MAX];
    if (!w->resident)
        tr_slab_reader_end(w->reader, digest);
}
