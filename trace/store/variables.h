// SPDX-License-Identifier: Apache-2.0
#ifndef TR_VARIABLES_H
#define TR_VARIABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/module.h"

// The schema of a trace as data: which variables a store has, over which dimensions, of which type
// and unit. Adding a variable is adding a row to tr_variables (and to the enum, same order).

// Another version cannot be read; a minor one adds: 1.1 the seal of the file and digests of
// rows, 1.2 the costs of removal, 1.3 set_js and set_angle, 1.4 greedy searches.
enum { TR_SCHEMA_VERSION = 1, TR_SCHEMA_MINOR = 4 };

enum tr_dim {
    TR_DIM_NONE,
    TR_DIM_CHECKPOINT,
    TR_DIM_LAYER,
    TR_DIM_MODULE,
    TR_DIM_SEQUENCE,
    TR_DIM_BIN,
    TR_DIM_POSITION_BIN,
    TR_DIM_POSITION,
    TR_DIM_BOUNDARY, // between blocks: 0 before the first, l after block l - 1
    TR_DIM_BOUNDARY_TO,
    TR_DIM_PROBE,
    TR_DIM_CHANNEL,
    TR_DIM_DROP_SET,
    TR_DIM_COST_SEQUENCE, // rows on which the costs of removal were measured
    TR_DIM_ROUND,         // of a greedy search
    TR_DIM_CANDIDATE,     // what a search may leave out
    TR_DIM_COUNT
};

// What fixes the sizes of a file's dimensions.
struct tr_layout {
    int64_t layers, sequences, seq_len;
    bool nll;       // the loss was measured
    bool per_token; // importance_token is kept
    // Spans: tokens whose streams are compared between boundaries (0: no spans), those of them
    // whose stream itself is kept, and its width.
    int64_t span_tokens, probes, channels;
    // Costs of removal: on how many sequences they were measured (0: no costs), and how many of
    // them lie side by side.
    int64_t cost_sequences, cost_batch;
    int64_t drop_sets;  // named sets whose costs were measured, on the same sequences
    bool set_distances; // of them set_js and set_angle, too
    // Of a greedy search, on all sequences: how many sublayers or blocks it drops, one in a round
    // (0: no search), and of how many.
    int64_t rounds, candidates;
};
// The span tokens, spread evenly over the calibration rows, and which of them are the probes; both
// ascending. A token is an index into the rows laid end to end, T tokens in all. Token i of N is
// floor(i T / N), moved on within its stratum by 4 for each row before it, modulo floor(T / N):
// else every row would give its first token, whose stream is an outlier in trained models (Sun et
// al. 2024, arXiv 2402.17762). Probe j of P is span token floor(j N / P), moved on by j modulo
// floor(N / P).
int64_t tr_span_token(const struct tr_layout *layout, int64_t index);
int64_t tr_probe(const struct tr_layout *layout, int64_t index);

// The calibration row that cost sequence `index` is. Costs are measured on whole micro-batches of
// cost_batch rows, because the bits of a row's loss depend on what it is computed with: micro-batch
// i of N is floor(i B / N) of the calibration's B, so that they are spread evenly.
int64_t tr_cost_sequence(const struct tr_layout *layout, int64_t index);

int64_t tr_dim_size(enum tr_dim dim, const struct tr_layout *layout); // checkpoint: 1
const char *tr_dim_name(enum tr_dim dim);
// Whether a variable that is present has the dimension.
bool tr_dim_present(enum tr_dim dim, const struct tr_layout *layout);

enum tr_value_type {
    TR_VALUE_F64,
    TR_VALUE_F32,
    TR_VALUE_U32,
    TR_VALUE_I64,
    TR_VALUE_U8,
    TR_VALUE_STRING
};

// Variables over (checkpoint, ...). The scalars and strings of a checkpoint come first.
enum tr_variable_id {
    TR_V_STAGE,
    TR_V_STEP,
    TR_V_TOKENS_SEEN,
    TR_V_NAME,
    TR_V_CONFIG_DIGEST,
    TR_V_WEIGHTS_DIGEST,
    TR_V_IDENTITY,
    TR_V_BACKEND,
    TR_V_STATUS,
    TR_V_ERROR,
    TR_V_SIMILARITY,
    TR_V_IMPORTANCE,
    TR_V_UPDATE_RATIO,
    TR_V_ALIGNMENT,
    TR_V_STREAM_NORM,
    TR_V_TOKEN_COUNT,
    TR_V_IMPORTANCE_SEQ,
    TR_V_UPDATE_RATIO_SEQ,
    TR_V_ALIGNMENT_SEQ,
    TR_V_XX_SEQ,
    TR_V_XD_SEQ,
    TR_V_DD_SEQ,
    TR_V_IMPORTANCE_HIST,
    TR_V_IMPORTANCE_POS,
    TR_V_NONFINITE,
    TR_V_NONFINITE_FIRST,
    TR_V_NLL,
    TR_V_IMPORTANCE_TOKEN,
    TR_V_SPAN_SIMILARITY,
    TR_V_CKA,
    TR_V_CKA_DEBIASED,
    TR_V_STREAM_SAMPLE,
    TR_V_BASE_NLL,
    TR_V_DROP_NLL,
    TR_V_DROP_KL,
    TR_V_DROP_AGREE,
    TR_V_SET_NLL,
    TR_V_SET_KL,
    TR_V_SET_AGREE,
    TR_V_SET_JS,
    TR_V_SET_ANGLE,
    TR_V_SEARCH_DROP,
    TR_V_SEARCH_VALUE,
    TR_V_SEARCH_VALUE_SEQ,
    TR_V_SEARCH_NLL,
    TR_V_SEARCH_KL,
    TR_VARIABLES
};

enum { TR_VARIABLE_DIMS = 5 };

struct tr_variable {
    const char *name;
    enum tr_value_type type;
    enum tr_dim dims[TR_VARIABLE_DIMS]; // the first is TR_DIM_CHECKPOINT; TR_DIM_NONE ends
    const char *units;                  // "1", "nat", "token"; NULL for strings
    const char *long_name;
    bool (*present)(const struct tr_layout *layout); // NULL: always
};
extern const struct tr_variable tr_variables[TR_VARIABLES];

bool tr_variable_present(enum tr_variable_id id, const struct tr_layout *layout);
size_t tr_value_size(enum tr_value_type type); // bytes; a string counts as a pointer
int tr_variable_rank(enum tr_variable_id id);  // dimensions, the checkpoint's included
// Elements that one checkpoint has of a variable (1 for scalars and strings).
int64_t tr_variable_elements(enum tr_variable_id id, const struct tr_layout *layout);
// The id of a variable by name, -1 when there is none.
int tr_variable_find(const char *name);

#endif
