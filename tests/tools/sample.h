// SPDX-License-Identifier: Apache-2.0
#ifndef TEST_SAMPLE_H
#define TEST_SAMPLE_H

// A made-up run for tests of the store: every value follows from (checkpoint, variable, element),
// so that any reader can check what it reads (tests/consumer/test_store.py does the same sums).

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "base/file.h"
#include "store/store.h"

// Cuts the seal off a file, as whoever else writes to it does. 0 when there was one.
static inline int sample_unseal(const char *path) {
    static const char mark[] = "\ntrace-ckpts seal 1\n";
    char *bytes;
    size_t size;
    unsigned long long sealed;
    if (tr_file_load(path, 1 << 28, &bytes, &size, NULL) != TR_OK)
        return -1;
    const char *at = (const char *)memmem(bytes, size, mark, sizeof mark - 1);
    int found = at && sscanf(at + sizeof mark - 1, "%16llx", &sealed) == 1;
    free(bytes);
    return found ? truncate(path, (off_t)sealed) : -1;
}

static inline double sample_value(int64_t checkpoint, int id, int64_t element) {
    return (double)((checkpoint * 7919 + id * 104729 + element * 31) % 10007);
}

static inline enum tr_status sample_info(struct tr_run_info *info, const struct tr_layout *layout,
                                         struct tr_err *err) {
    *info = (struct tr_run_info){.layout = *layout};
    TR_TRY(tr_run_info_text(info, TR_IDENTITY, "dtype", "f32", err));
    TR_TRY(tr_run_info_number(info, TR_IDENTITY, "micro_batch", 4, err));
    TR_TRY(tr_run_info_text(info, TR_IDENTITY, "drop", "", err));
    TR_TRY(tr_run_info_text(info, TR_RECORDED, "program", "sample 1.0 \xc3\xa9", err));
    TR_TRY(tr_run_info_text(info, TR_VOLATILE, "created", "2026-01-31T12:00:00Z", err));
    TR_TRY(tr_run_info_text(info, TR_VOLATILE, "host", "node1", err));
    TR_TRY(tr_run_info_text(info, TR_VOLATILE, "history", "first run", err));
    TR_TRY(tr_run_info_sequences(info, err));
    for (int64_t i = 0; i < layout->sequences; i++) {
        char digest[32];
        snprintf(digest, sizeof digest, "d%lld", (long long)i);
        TR_TRY(tr_run_info_sequence(info, i, i ? "caf\xc3\xa9.txt" : "", digest, err));
    }
    TR_TRY(tr_run_info_sets(info, err));
    for (int64_t i = 0; i < layout->drop_sets; i++)
        TR_TRY(tr_run_info_set(info, i, i ? "b" : "caf\xc3\xa9", i ? "attn:1" : "", err));
    TR_TRY(tr_run_info_candidates(info, err));
    for (int64_t i = 0; i < layout->candidates; i++)
        TR_TRY(tr_run_info_candidate(info, i, i ? "mlp:0" : "attn:0", err));
    return TR_OK;
}

static inline void sample_numbers(struct tr_row *row, int64_t checkpoint, int id,
                                  const struct tr_layout *layout) {
    for (int64_t i = 0; i < tr_variable_elements(id, layout); i++) {
        double value = sample_value(checkpoint, id, i);
        switch (tr_variables[id].type) {
        case TR_VALUE_F64:
            tr_row_f64(row, id)[i] = i == 1 ? NAN : value;
            break;
        case TR_VALUE_F32:
            tr_row_f32(row, id)[i] = i == 1 ? NAN : (float)value;
            break;
        case TR_VALUE_U32:
            tr_row_u32(row, id)[i] = (uint32_t)value;
            break;
        case TR_VALUE_I64:
            tr_row_i64(row, id)[i] =
                id == TR_V_SEARCH_DROP ? (checkpoint + i) % layout->candidates : (int64_t)value;
            break;
        default:
            break;
        }
    }
}

// A complete row named step<step>.
static inline enum tr_status sample_row(struct tr_row *row, int64_t checkpoint, int64_t step,
                                        const struct tr_layout *layout, struct tr_err *err) {
    char name[32];
    TR_TRY(tr_row_new(row, layout, err));
    for (int id = TR_V_SIMILARITY; id < TR_VARIABLES; id++)
        if (row->data[id])
            sample_numbers(row, checkpoint, id, layout);
    snprintf(name, sizeof name, "step%lld", (long long)step);
    *tr_row_i64(row, TR_V_STEP) = step;
    *tr_row_f64(row, TR_V_TOKENS_SEEN) = 1000.0 * (double)step;
    *tr_row_u8(row, TR_V_STATUS) = TR_ROW_COMPLETE;
    TR_TRY(tr_row_set_string(row, TR_V_CONFIG_DIGEST, "config", err));
    TR_TRY(tr_row_set_string(row, TR_V_WEIGHTS_DIGEST, "weights", err));
    TR_TRY(tr_row_set_string(row, TR_V_IDENTITY, "model.safetensors 12 \xe2\x82\xac", err));
    TR_TRY(tr_row_set_string(row, TR_V_BACKEND, "cpu", err));
    return tr_row_set_string(row, TR_V_NAME, name, err);
}

static inline enum tr_status sample_commit(const char *out, const struct tr_run_info *info,
                                           int64_t checkpoint, int64_t step, struct tr_err *err) {
    struct tr_row row;
    TR_TRY(sample_row(&row, checkpoint, step, &info->layout, err));
    enum tr_status status = tr_store_commit(out, info, &row, err);
    tr_row_free(&row);
    return status;
}

#endif
