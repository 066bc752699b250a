// SPDX-License-Identifier: Apache-2.0
// The table of the root attributes.
#include <string.h>

#include "store/run_info.h"

const struct tr_attribute_row tr_attribute_rows[] = {
    {"schema", TR_RECORDED, true, false, "\"trace-ckpts\"; of a part of a trace, an excerpt"},
    {"schema_version", TR_RECORDED, true, true, "files of another version are refused"},
    {"schema_minor", TR_RECORDED, true, true, "minor versions only add; 1.0 has none: 0"},
    {"Conventions", TR_RECORDED, true, false, "\"CF-1.9\""},
    {"identity_attributes", TR_RECORDED, true, false,
     "names of the attributes that have to agree, a space between two"},
    {"seq_len", TR_IDENTITY, true, true, "tokens of a calibration sequence"},
    {"span_tokens", TR_IDENTITY, true, true, "tokens whose streams were compared; with spans only"},
    {"cost_batch", TR_IDENTITY, true, true,
     "neighbouring sequences on which costs were measured together; with costs only"},
    {"definition", TR_IDENTITY, false, false, "what x, delta, similarity and importance are"},
    {"model", TR_IDENTITY, false, false, "family and sizes of the model"},
    {"tokens_digest", TR_IDENTITY, false, false, "digest of all calibration ids"},
    {"micro_batch", TR_IDENTITY, false, true, "sequences that were computed together"},
    {"drop", TR_IDENTITY, false, false, "sublayers that were left out, where there are any"},
    {"scans", TR_IDENTITY, false, false,
     "where attn is the scan of a state space (Mamba-2), as drop sets are written; absent: "
     "nowhere"},
    {"cost", TR_ADDED, false, false, "modules whose removal was measured, a comma between two"},
    {"search", TR_ADDED, false, false,
     "what a greedy search went by, over which candidates, as in \"by=js over=attn,mlp\""},
    {"dtype", TR_IDENTITY, false, false, "type of the operands of products: f32, bf16, f16"},
    {"math", TR_RECORDED, false, false, "operands, sums, stream and statistics in words"},
    {"device", TR_RECORDED, false, false, "cpu or cuda"},
    {"library", TR_RECORDED, false, false, "what computed the products, and its version"},
    {"calibration", TR_RECORDED, false, false, "the text: its file, or built-in"},
    {"source", TR_RECORDED, false, false, "program and version"},
    {"build", TR_VOLATILE, false, false,
     "what the program was built of and with: commit, libraries"},
    {"tokenizer_digest", TR_RECORDED, false, false,
     "of the tokenizer's file, where there was text"},
    {"tokenizer_template", TR_RECORDED, false, false, "what was put before a document"},
    {"planned", TR_VOLATILE, false, true,
     "checkpoints that the last run was to trace, done or not; absent where it followed a run"},
    {"seconds_per_checkpoint", TR_VOLATILE, false, false,
     "that a rank took on average, in the last run that traced any"},
    {"created", TR_VOLATILE, false, false, "when the file was begun, UTC"},
    {"host", TR_VOLATILE, false, false, "where rank 0 ran"},
    {"history", TR_VOLATILE, false, false,
     "a line for each run: when, its ranks and threads, its command"},
    {"row_order", TR_VOLATILE, false, false, "how the order of rows differs from the usual one"},
    {"sizes", TR_GAINED, false, false,
     "JSON: what each sublayer of the first checkpoint takes, for plans under a budget"},
    {"scheduler_job", TR_VOLATILE, false, false, "the scheduler's name and its number of the job"},
};

const int tr_attribute_row_count = sizeof tr_attribute_rows / sizeof *tr_attribute_rows;

const struct tr_attribute_row *tr_attribute_row(const char *name) {
    for (int i = 0; i < tr_attribute_row_count; i++)
        if (!strcmp(name, tr_attribute_rows[i].name))
            return &tr_attribute_rows[i];
    return NULL;
}
