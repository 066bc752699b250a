// SPDX-License-Identifier: Apache-2.0
// The schema table.
#include "store/variables.h"

#include <math.h>
#include <string.h>

static const char *const dim_names[TR_DIM_COUNT] = {
    "",         "checkpoint", "layer",       "module", "sequence", "bin",      "position_bin",
    "position", "boundary",   "boundary_to", "probe",  "channel",  "drop_set", "cost_sequence",
    "round",    "candidate"};

int64_t tr_dim_size(enum tr_dim dim, const struct tr_layout *layout) {
    switch (dim) {
    case TR_DIM_LAYER:
        return layout->layers;
    case TR_DIM_MODULE:
        return TR_MODULES;
    case TR_DIM_SEQUENCE:
        return layout->sequences;
    case TR_DIM_BIN:
        return TR_BINS;
    case TR_DIM_POSITION_BIN:
        return tr_position_bins(layout->seq_len);
    case TR_DIM_POSITION:
        return layout->seq_len;
    case TR_DIM_BOUNDARY:
    case TR_DIM_BOUNDARY_TO:
        return layout->layers + 1;
    case TR_DIM_PROBE:
        return layout->probes;
    case TR_DIM_CHANNEL:
        return layout->channels;
    case TR_DIM_DROP_SET:
        return layout->drop_sets;
    case TR_DIM_COST_SEQUENCE:
        return layout->cost_sequences;
    case TR_DIM_ROUND:
        return layout->rounds;
    case TR_DIM_CANDIDATE:
        return layout->candidates;
    default:
        return 1;
    }
}

// floor(index total / count), whose product might overflow.
static int64_t spread(int64_t index, int64_t total, int64_t count) {
    return index * (total / count) + index * (total % count) / count;
}

int64_t tr_span_token(const struct tr_layout *layout, int64_t index) {
    enum { SHIFT = 4 };
    int64_t total = layout->sequences * layout->seq_len, count = layout->span_tokens;
    int64_t token = spread(index, total, count);
    return token + token / layout->seq_len * SHIFT % (total / count);
}

int64_t tr_probe(const struct tr_layout *layout, int64_t index) {
    int64_t total = layout->span_tokens, count = layout->probes;
    return spread(index, total, count) + index % (total / count);
}

int64_t tr_cost_sequence(const struct tr_layout *layout, int64_t index) {
    int64_t size = layout->cost_batch;
    int64_t all = (layout->sequences + size - 1) / size,
            taken = (layout->cost_sequences + size - 1) / size;
    return spread(index / size, all, taken) * size + index % size;
}

const char *tr_dim_name(enum tr_dim dim) {
    return dim_names[dim];
}

static bool nll_present(const struct tr_layout *layout) {
    return layout->nll;
}

static bool token_present(const struct tr_layout *layout) {
    return layout->per_token;
}

static bool spans_present(const struct tr_layout *layout) {
    return layout->span_tokens > 0;
}

static bool costs_present(const struct tr_layout *layout) {
    return layout->cost_sequences > 0;
}

static bool sets_present(const struct tr_layout *layout) {
    return layout->cost_sequences > 0 && layout->drop_sets > 0;
}

static bool search_present(const struct tr_layout *layout) {
    return layout->rounds > 0;
}

static bool distances_present(const struct tr_layout *layout) {
    return sets_present(layout) && layout->set_distances;
}

#define C TR_DIM_CHECKPOINT
#define LM TR_DIM_CHECKPOINT, TR_DIM_LAYER, TR_DIM_MODULE
#define LMS LM, TR_DIM_SEQUENCE
#define LMK LM, TR_DIM_COST_SEQUENCE
#define BB TR_DIM_CHECKPOINT, TR_DIM_BOUNDARY, TR_DIM_BOUNDARY_TO

const struct tr_variable tr_variables[TR_VARIABLES] = {
    {"stage", TR_VALUE_STRING, {C}, NULL, "stage of training, empty when it has one stage", NULL},
    {"step", TR_VALUE_I64, {C}, "1", "training step", NULL},
    {"tokens_seen", TR_VALUE_F64, {C}, "token", "tokens seen in training", NULL},
    {"name", TR_VALUE_STRING, {C}, NULL, "name of the checkpoint", NULL},
    {"config_digest", TR_VALUE_STRING, {C}, NULL, "digest of the model's configuration", NULL},
    {"weights_digest",
     TR_VALUE_STRING,
     {C},
     NULL,
     "XXH3-128 over name, dtype, shape and digest of all tensors used",
     NULL},
    {"identity",
     TR_VALUE_STRING,
     {C},
     NULL,
     "what the files looked like: names, sizes, times",
     NULL},
    {"backend", TR_VALUE_STRING, {C}, NULL, "device and libraries that computed the row", NULL},
    {"status", TR_VALUE_U8, {C}, "1", "whether the checkpoint was traced", NULL},
    {"error", TR_VALUE_STRING, {C}, NULL, "why the checkpoint failed, empty when it did not", NULL},
    {"similarity", TR_VALUE_F64, {LM}, "1", "mean over tokens of cos(x, x + delta)", NULL},
    {"importance", TR_VALUE_F64, {LM}, "1", "mean over tokens of 1 - cos(x, x + delta)", NULL},
    {"update_ratio", TR_VALUE_F64, {LM}, "1", "mean over tokens of |delta| / |x|", NULL},
    {"alignment", TR_VALUE_F64, {LM}, "1", "mean over tokens of cos(x, delta)", NULL},
    {"stream_norm", TR_VALUE_F64, {LM}, "1", "mean over tokens of |x|", NULL},
    {"token_count", TR_VALUE_U32, {LMS}, "token", "tokens counted: finite, with an angle", NULL},
    {"importance_seq", TR_VALUE_F64, {LMS}, "1", "1 - cos(x, x + delta), mean of a sequence", NULL},
    {"update_ratio_seq", TR_VALUE_F64, {LMS}, "1", "|delta| / |x|, mean of a sequence", NULL},
    {"alignment_seq", TR_VALUE_F64, {LMS}, "1", "cos(x, delta), mean of a sequence", NULL},
    {"xx_seq", TR_VALUE_F64, {LMS}, "1", "x.x, mean of a sequence", NULL},
    {"xd_seq", TR_VALUE_F64, {LMS}, "1", "x.delta, mean of a sequence", NULL},
    {"dd_seq", TR_VALUE_F64, {LMS}, "1", "delta.delta, mean of a sequence", NULL},
    {"importance_hist",
     TR_VALUE_U32,
     {LM, TR_DIM_BIN},
     "token",
     "tokens by importance, in 1/8 decades; the first bin takes less, the last more",
     NULL},
    {"importance_pos",
     TR_VALUE_F32,
     {LM, TR_DIM_POSITION_BIN},
     "1",
     "mean importance by position in the sequence",
     NULL},
    {"nonfinite", TR_VALUE_U32, {LM}, "token", "tokens left out, their values not finite", NULL},
    {"nonfinite_first",
     TR_VALUE_I64,
     {LM},
     "1",
     "index of the first token that is not finite",
     NULL},
    {"nll",
     TR_VALUE_F64,
     {C, TR_DIM_SEQUENCE},
     "nat",
     "negative log-likelihood of the next token, mean of a sequence",
     nll_present},
    {"importance_token",
     TR_VALUE_F32,
     {LMS, TR_DIM_POSITION},
     "1",
     "1 - cos(x, x + delta) of each token",
     token_present},
    {"span_similarity",
     TR_VALUE_F32,
     {BB},
     "1",
     "mean over span tokens of the cosine between the streams at two boundaries",
     spans_present},
    {"cka",
     TR_VALUE_F32,
     {BB},
     "1",
     "linear centred kernel alignment of the streams at two boundaries over span tokens",
     spans_present},
    {"cka_debiased",
     TR_VALUE_F32,
     {BB},
     "1",
     "the same from unbiased estimates of the Hilbert-Schmidt independence criterion",
     spans_present},
    {"stream_sample",
     TR_VALUE_F32,
     {C, TR_DIM_BOUNDARY, TR_DIM_PROBE, TR_DIM_CHANNEL},
     "1",
     "residual stream of the probes",
     spans_present},
    {"base_nll",
     TR_VALUE_F64,
     {C, TR_DIM_COST_SEQUENCE},
     "nat",
     "negative log-likelihood of the next token, nothing left out, mean of a sequence",
     costs_present},
    {"drop_nll",
     TR_VALUE_F64,
     {LMK},
     "nat",
     "the same with that sublayer or block alone left out",
     costs_present},
    {"drop_kl",
     TR_VALUE_F64,
     {LMK},
     "nat",
     "Kullback-Leibler divergence of the next token's distribution with it left out from that of "
     "the whole model, mean of a sequence",
     costs_present},
    {"drop_agree",
     TR_VALUE_F64,
     {LMK},
     "1",
     "share of a sequence's positions whose most likely next token stays the same",
     costs_present},
    {"set_nll",
     TR_VALUE_F64,
     {C, TR_DIM_DROP_SET, TR_DIM_COST_SEQUENCE},
     "nat",
     "as drop_nll, with all of a named set left out",
     sets_present},
    {"set_kl",
     TR_VALUE_F64,
     {C, TR_DIM_DROP_SET, TR_DIM_COST_SEQUENCE},
     "nat",
     "as drop_kl, with all of a named set left out",
     sets_present},
    {"set_agree",
     TR_VALUE_F64,
     {C, TR_DIM_DROP_SET, TR_DIM_COST_SEQUENCE},
     "1",
     "as drop_agree, with all of a named set left out",
     sets_present},
    {"set_js",
     TR_VALUE_F64,
     {C, TR_DIM_DROP_SET, TR_DIM_COST_SEQUENCE},
     "nat",
     "Jensen-Shannon divergence of the next token with and without the set",
     distances_present},
    {"set_angle",
     TR_VALUE_F64,
     {C, TR_DIM_DROP_SET, TR_DIM_COST_SEQUENCE},
     "rad",
     "angle between the logits with and without the set",
     distances_present},
    {"search_drop",
     TR_VALUE_I64,
     {C, TR_DIM_ROUND},
     "1",
     "index of the candidate that the round leaves out beside those of the rounds before",
     search_present},
    {"search_value",
     TR_VALUE_F64,
     {C, TR_DIM_ROUND, TR_DIM_CANDIDATE},
     "1",
     "what the search goes by with the candidate left out, too, mean over sequences; none where it "
     "was dropped before",
     search_present},
    {"search_value_seq",
     TR_VALUE_F64,
     {C, TR_DIM_ROUND, TR_DIM_CANDIDATE, TR_DIM_SEQUENCE},
     "1",
     "the same of each sequence",
     search_present},
    {"search_nll",
     TR_VALUE_F64,
     {C, TR_DIM_ROUND, TR_DIM_SEQUENCE},
     "nat",
     "as nll, without what the rounds so far left out",
     search_present},
    {"search_kl",
     TR_VALUE_F64,
     {C, TR_DIM_ROUND, TR_DIM_SEQUENCE},
     "nat",
     "as drop_kl, without what the rounds so far left out",
     search_present},
};

bool tr_variable_present(enum tr_variable_id id, const struct tr_layout *layout) {
    return !tr_variables[id].present || tr_variables[id].present(layout);
}

bool tr_dim_present(enum tr_dim dim, const struct tr_layout *layout) {
    for (int id = 0; id < TR_VARIABLES; id++)
        for (int i = 0; i < tr_variable_rank(id); i++)
            if (tr_variables[id].dims[i] == dim && tr_variable_present(id, layout))
                return true;
    return false;
}

size_t tr_value_size(enum tr_value_type type) {
    static const size_t sizes[] = {sizeof(double),  sizeof(float),   sizeof(uint32_t),
                                   sizeof(int64_t), sizeof(uint8_t), sizeof(char *)};
    return sizes[type];
}

int tr_variable_rank(enum tr_variable_id id) {
    int rank = 0;
    while (rank < TR_VARIABLE_DIMS && tr_variables[id].dims[rank] != TR_DIM_NONE)
        rank++;
    return rank;
}

int64_t tr_variable_elements(enum tr_variable_id id, const struct tr_layout *layout) {
    int64_t elements = 1;
    for (int i = 0; i < tr_variable_rank(id); i++)
        elements *= tr_dim_size(tr_variables[id].dims[i], layout);
    return elements;
}

int tr_variable_find(const char *name) {
    for (int id = 0; id < TR_VARIABLES; id++)
        if (!strcmp(tr_variables[id].name, name))
            return id;
    return -1;
}
