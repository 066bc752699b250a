// SPDX-License-Identifier: Apache-2.0
#include "trainer_counters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "facts.h"
#include "torch/dcp_metadata.h"
#include "torch/torch_file.h"

enum counter_kind { JSON, TORCH, DISTRIBUTED };

// Where a file has its step, the first path that it has counting, and its tokens: the product of
// all paths, each a number.
struct counter {
    const char *file; // within the folder; "": the checkpoint is a file by itself
    enum counter_kind kind;
    const char *steps[4];
    const char *tokens[4];
};

#define MEGATRON                                                                                   \
    TORCH, {"iteration"}, {                                                                        \
        "args.consumed_train_samples", "args.seq_length"                                           \
    }
#define BY_ITSELF                                                                                  \
    TORCH, {"global_step", "iter_num", "iteration", "step"}, {                                     \
        "iter_num", "config.gradient_accumulation_steps", "config.batch_size", "config.block_size" \
    }
// Composer's token count and torchtitan's are left alone: the latter is of one rank only.
static const struct counter counters[] = {
    {"checkpoint_metadata.json", JSON, {"metas.last_train_step"}, {"metas.consumed_tokens_total"}},
    {"mp_rank_00/model_optim_rng.pt", MEGATRON},
    {"mp_rank_00_000/model_optim_rng.pt", MEGATRON},
    {"common.pt", MEGATRON},
    {"train/rank0.pt", TORCH, {"global_step"}, {"global_train_tokens_seen"}},
    {"mp_rank_00_model_states.pt", TORCH, {"iteration", "global_steps"}, {NULL}},
    {"zero_pp_rank_0_mp_rank_00_model_states.pt", TORCH, {"iteration", "global_steps"}, {NULL}},
    {"lit_model.pth", TORCH, {"step_count", "iter_num"}, {NULL}},
    {"meta.pt", TORCH, {"global_step"}, {NULL}},
    {"ckpt.pt", BY_ITSELF},
    {".metadata", DISTRIBUTED, {"train_state.step"}, {NULL}},
    {"", BY_ITSELF},
};
enum { COUNTERS = sizeof counters / sizeof *counters, PATHS = 4 };

static void take(struct tr_trainer_state *state, const struct counter *counter,
                 const json_t *facts) {
    double tokens = 1, factor;
    int64_t step;
    bool all = counter->tokens[0] != NULL;
    for (int i = 0; i < PATHS && counter->steps[i] && state->step < 0; i++)
        if (tr_fact_i64(facts, counter->steps[i], &step) && step >= 0)
            state->step = step;
    for (int i = 0; i < PATHS && counter->tokens[i]; i++) {
        all = all && tr_fact_f64(facts, counter->tokens[i], &factor) && factor >= 0;
        tokens *= all ? factor : 0;
    }
    if (all && tokens < 9e18 && (tokens > 0 || state->step == 0))
        state->tokens = tokens;
}

static enum tr_status take_json(struct tr_trainer_state *state, const struct counter *counter,
                                const char *path, struct tr_err *err) {
    enum { LIMIT = 16 << 20 };
    json_t *facts;
    TR_TRY(tr_json_load(&facts, path, LIMIT, err));
    take(state, counter, facts);
    json_decref(facts);
    return TR_OK;
}

static enum tr_status take_torch(struct tr_trainer_state *state, const struct counter *counter,
                                 const char *path, struct tr_err *err) {
    struct tr_torch torch;
    json_t *facts;
    TR_TRY(tr_torch_load(&torch, path, err));
    enum tr_status status = tr_facts_of_value(&facts, torch.root, err);
    if (status == TR_OK) {
        take(state, counter, facts);
        json_decref(facts);
    }
    tr_torch_close(&torch);
    return status;
}

// ---- an item of a distributed checkpoint -------------------------------------------------------

static bool is_none(struct tr_slice name) {
    (void)name;
    return false;
}

// The number that an archive in a file is.
static enum tr_status take_item(struct tr_trainer_state *state, const char *path,
                                const struct tr_dcp_place *place, struct tr_err *err) {
    struct tr_torch torch;
    struct stat info;
    int fd = -1;
    TR_TRY(tr_file_open(path, &fd, &info, err));
    uint64_t size = (uint64_t)info.st_size;
    enum tr_status status = TR_OK;
    if (place->offset > size || place->length > size - place->offset)
        status = tr_fail(err, TR_EFORMAT, "%s ends before the step's item", path);
    if (status == TR_OK)
        status = tr_torch_open(&torch, fd, place->offset, place->length, path, err);
    close(fd);
    TR_TRY(status);
    int64_t step = -1;
    if (tr_value_integer(torch.root, &step) && step >= 0)
        state->step = step;
    tr_torch_close(&torch);
    return TR_OK;
}

static enum tr_status find_item(struct tr_trainer_state *state, const struct tr_dcp *dcp,
                                const struct counter *counter, const char *metadata,
                                struct tr_err *err) {
    const struct tr_dcp_place *place = tr_dcp_find(dcp, counter->steps[0]);
    size_t folder = (size_t)(strrchr(metadata, '/') + 1 - metadata);
    char *path;
    if (!place || memchr(place->path.bytes, '/', place->path.size) || place->path.size > 255)
        return TR_OK;
    TR_TRY(tr_alloc((void **)&path, folder + place->path.size + 1, 1, "a path", err));
    memcpy(path, metadata, folder);
    memcpy(path + folder, place->path.bytes, place->path.size);
    path[folder + place->path.size] = 0;
    enum tr_status status = take_item(state, path, place, err);
    free(path);
    return status;
}

static enum tr_status take_distributed(struct tr_trainer_state *state,
                                       const struct counter *counter, const char *path,
                                       struct tr_err *err) {
    struct tr_dcp dcp;
    char *bytes;
    size_t size;
    TR_TRY(tr_file_load(path, TR_DCP_LIMIT, &bytes, &size, err));
    enum tr_status status = tr_dcp_parse(&dcp, bytes, size, is_none, path, err);
    if (status == TR_OK) {
        status = find_item(state, &dcp, counter, path, err);
        tr_dcp_free(&dcp);
    }
    free(bytes);
    return status;
}

// ---- the table ---------------------------------------------------------------------------------

static bool is_file(const char *path) {
    struct stat info;
    return !stat(path, &info) && S_ISREG(info.st_mode);
}

static enum tr_status read_row(struct tr_trainer_state *state, const struct counter *counter,
                               const char *path, bool *there_p, struct tr_err *err) {
    static enum tr_status (*const takers[])(struct tr_trainer_state *, const struct counter *,
                                            const char *, struct tr_err *) = {
        [JSON] = take_json, [TORCH] = take_torch, [DISTRIBUTED] = take_distributed};
    char *file;
    TR_TRY(*counter->file ? tr_path_join(&file, path, counter->file, err)
                          : tr_strdup(&file, path, err));
    *there_p = is_file(file);
    enum tr_status status = TR_OK;
    if (*there_p) {
        state->file = *counter->file ? counter->file : "the file";
        status = takers[counter->kind](state, counter, file, err);
    }
    free(file);
    return status;
}

enum tr_status tr_trainer_counters_read(struct tr_trainer_state *state, const char *path,
                                        struct tr_err *err) {
    bool there = false;
    *state = (struct tr_trainer_state){.step = -1, .tokens = NAN, .file = ""};
    for (int i = 0; i < COUNTERS && !there; i++)
        TR_TRY(read_row(state, &counters[i], path, &there, err));
    return TR_OK;
}
