// SPDX-License-Identifier: Apache-2.0
#include "normalize.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "characters.h"
#include "normal_steps.h"
#include "sentencepiece_text.h"

// A text may grow by so much: real steps make at most eleven bytes of one, and hostile ones could
// multiply at each step.
enum { GROWTH_MAX = 64, GROWTH_BASE = 1 << 16 };

enum tr_status tr_normal_put(struct tr_normal_run *run, const char *bytes, size_t size,
                             struct tr_err *err) {
    if (size > run->limit || run->out->size > run->limit - size)
        return tr_fail(err, TR_EUNSUPPORTED,
                       "the normalizer makes more than %zu bytes of %zu bytes of text", run->limit,
                       run->size);
    return tr_string_append(run->out, bytes, size, err);
}

enum tr_status tr_normal_put_from(struct tr_normal_run *run, size_t source_end, const char *bytes,
                                  size_t size, struct tr_err *err) {
    if (source_end <= run->lead)
        run->lead_out += size;
    return tr_normal_put(run, bytes, size, err);
}

enum tr_status tr_normalizer_add(struct tr_normalizer *normalizer, struct tr_normal_step **step_p,
                                 const char *what, struct tr_err *err) {
    if (normalizer->count == TR_NORMAL_STEPS_MAX)
        return tr_fail(err, TR_EUNSUPPORTED, "%s: more than %d normalizers are not supported", what,
                       TR_NORMAL_STEPS_MAX);
    if (!normalizer->steps)
        TR_TRY(TR_NEW(&normalizer->steps, TR_NORMAL_STEPS_MAX, "the normalizer", err));
    *step_p = &normalizer->steps[normalizer->count++];
    return TR_OK;
}

enum tr_status tr_normalize(const struct tr_normalizer *normalizer, const char *text, size_t size,
                            struct tr_normal_memory *memory, struct tr_normal_text *out,
                            struct tr_err *err) {
    struct tr_normal_run run = {.text = text,
                                .size = size,
                                .limit = GROWTH_BASE + GROWTH_MAX * size,
                                .searcher = memory->searcher,
                                .lead = tr_character_size(text, size)};
    for (int i = 0; i < normalizer->count && run.size; i++) {
        run.out = &memory->texts[i % 2];
        run.out->size = run.lead_out = 0;
        TR_TRY(normalizer->steps[i].run(&normalizer->steps[i], &run, err));
        run.text = run.out->size ? run.out->data : "";
        run.size = run.out->size;
        run.lead = run.lead_out;
    }
    *out = (struct tr_normal_text){run.text, run.size, run.lead};
    return TR_OK;
}

void tr_normal_memory_free(struct tr_normal_memory *memory) {
    tr_string_free(&memory->texts[0]);
    tr_string_free(&memory->texts[1]);
}

void tr_normalizer_free(struct tr_normalizer *normalizer) {
    for (int i = 0; i < normalizer->count; i++) {
        struct tr_normal_step *step = &normalizer->steps[i];
        tr_string_free(&step->content);
        pcre2_code_free(step->code);
        tr_charsmap_free(&step->charsmap);
        tr_sentencepiece_text_free(step->pieces);
    }
    free(normalizer->steps);
    *normalizer = (struct tr_normalizer){0};
}
