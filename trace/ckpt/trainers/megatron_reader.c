// SPDX-License-Identifier: Apache-2.0
// Opens what Megatron-LM writes with --ckpt-format torch: a file for each rank of tensor and
// pipeline parallelism, mp_rank_TT[_PPP]/model_optim_rng.pt. (Source:
// megatron/training/checkpointing.py.)
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "reader.h"
#include "torch/torch_dict.h"
#include "trainer_config.h"

enum { NAME_LIMIT = 600 };

struct megatron {
    struct tr_checkpoint *checkpoint;
    const char *file; // of a rank, below its folder
    int tensor_ranks, stages;
    bool staged;                   // the folders' names have the stage
    const struct tr_value *args;   // of the file that is open; NULL: it has none
    int64_t layers;                // of the whole model; 0: not told
    int stage, chunk, chunk_count; // where in the pipeline
    struct tr_err *err;
};

// ---- ranks -------------------------------------------------------------------------------------

// Counts one folder of the name mp_rank_TT[_PPP].
static enum tr_status count_rank(struct megatron *m, const char *name) {
    int rank = 0, stage = 0, expert = 0, used[3] = {0};
    int parts = sscanf(name, "mp_rank_%2d%n_%3d%n_%3d%n", &rank, &used[0], &stage, &used[1],
                       &expert, &used[2]);
    if (parts < 1 || rank < 0 || stage < 0 || name[used[parts - 1]])
        return TR_OK;
    if (parts == 3)
        return tr_fail(
            m->err, TR_EUNSUPPORTED,
            "%s: %s is of a run with expert parallelism, which is not read in this form: "
            "save with --ckpt-format torch_dist",
            m->checkpoint->folder, name);
    m->staged = m->staged || parts == 2;
    m->tensor_ranks = rank + 1 > m->tensor_ranks ? rank + 1 : m->tensor_ranks;
    m->stages = stage + 1 > m->stages ? stage + 1 : m->stages;
    return TR_OK;
}

static enum tr_status count_ranks(struct megatron *m) {
    const char *folder = m->checkpoint->folder;
    DIR *entries = opendir(folder);
    enum tr_status status = TR_OK;
    if (!entries)
        return tr_fail(m->err, TR_EIO, "cannot open the folder %s: %s", folder, strerror(errno));
    for (struct dirent *entry; status == TR_OK && (entry = readdir(entries));)
        status = count_rank(m, entry->d_name);
    closedir(entries);
    return status;
}

// ---- what the arguments say --------------------------------------------------------------------

// Arguments under which the tensors do not mean what their names say here.
static enum tr_status check_args(const struct megatron *m, const char *path) {
    static const char *const off[] = {"apply_layernorm_1p",
                                      "rotary_interleaved",
                                      "multi_latent_attention",
                                      "account_for_embedding_in_pipeline_split",
                                      "account_for_loss_in_pipeline_split",
                                      "standalone_embedding_stage"};
    static const char *const none[] = {"decoder_first_pipeline_num_layers",
                                       "decoder_last_pipeline_num_layers",
                                       "pipeline_model_parallel_layout", "num_experts"};
    bool set = false;
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (tr_value_bool(tr_value_get(m->args, off[i]), &set) && set)
            return tr_fail(m->err, TR_EUNSUPPORTED, "%s is of a run with %s, which is not read",
                           path, off[i]);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        const struct tr_value *value = tr_value_get(m->args, none[i]);
        if (value && value->kind != TR_VALUE_NONE)
            return tr_fail(m->err, TR_EUNSUPPORTED, "%s is of a run with %s, which is not read",
                           path, none[i]);
    }
    return TR_OK;
}

// Versions before 2 have the rows of queries, keys and values in other orders.
static enum tr_status check_version(const struct megatron *m, const struct tr_value *root,
                                    const char *path) {
    double version = 0;
    tr_value_real(tr_value_get(root, "checkpoint_version"), &version);
    if (version < 2)
        return tr_fail(
            m->err, TR_EUNSUPPORTED,
            "%s is of checkpoint version %g, of which the rows of attention are in an older "
            "order; known: 2 and 3",
            path, version);
    return TR_OK;
}

static bool is_tied(const struct megatron *m) {
    bool untied = true;
    return tr_value_bool(tr_value_get(m->args, "untie_embeddings_and_output_weights"), &untied) &&
           !untied;
}

// ---- names -------------------------------------------------------------------------------------

// The number behind "layers.", NULL where the name has none.
static char *layer_number(char *name) {
    char *found = strstr(name, ".layers.");
    return found && found[8] >= '0' && found[8] <= '9' ? found + 8 : NULL;
}

static int64_t count_layers(const struct tr_torch_dict *dict) {
    int64_t count = 0;
    for (int64_t i = 0; i < dict->count; i++) {
        const char *number = layer_number(dict->items[i].name);
        int64_t layer = number ? strtol(number, NULL, 10) : -1;
        count = layer + 1 > count ? layer + 1 : count;
    }
    return count;
}

static enum tr_status rename_one(const struct megatron *m, struct tr_torch_item *item,
                                 int64_t first) {
    char name[NAME_LIMIT], *end, *number = layer_number(item->name);
    if (!number || !first)
        return TR_OK;
    long long layer = strtoll(number, &end, 10) + first;
    snprintf(name, sizeof name, "%.*s%lld%s", (int)(number - item->name), item->name, layer, end);
    free(item->name);
    item->name = NULL;
    return tr_strdup(&item->name, name, m->err);
}

// Layers are numbered within their part of the pipeline; of `chunk_count` rounds through all stages
// each has as many.
static enum tr_status renumber(const struct megatron *m, struct tr_torch_dict *dict,
                               const char *path) {
    int64_t here = count_layers(dict), parts = (int64_t)m->stages * m->chunk_count;
    if (parts > 1 && here * parts != m->layers)
        return tr_fail(m->err, TR_EUNSUPPORTED,
                       "%s has %lld layers, one of %lld equal parts of a model of %lld has not: "
                       "uneven pipelines are not read",
                       path, (long long)here, (long long)parts, (long long)m->layers);
    int64_t first = ((int64_t)m->chunk * m->stages + m->stage) * here;
    for (int64_t i = 0; i < dict->count; i++)
        TR_TRY(rename_one(m, &dict->items[i], first));
    return TR_OK;
}

// Where the head is the embedding, the last stage has a copy of it.
static void drop_copies(const struct megatron *m, struct tr_torch_dict *dict) {
    int64_t kept = 0;
    for (int64_t i = 0; i < dict->count; i++) {
        const char *name = dict->items[i].name;
        bool copy = is_tied(m) && (strstr(name, "output_layer.weight") ||
                                   strstr(name, "word_embeddings_for_head"));
        if (copy || strstr(name, "_extra_state"))
            free(dict->items[i].name);
        else
            dict->items[kept++] = dict->items[i];
    }
    dict->count = kept;
}

// ---- files -------------------------------------------------------------------------------------

static enum tr_status add_chunk(struct megatron *m, const struct tr_torch *torch,
                                const struct tr_value *model) {
    struct tr_torch_dict dict;
    TR_TRY(tr_torch_dict_read(&dict, model, torch->path, m->err));
    drop_copies(m, &dict);
    enum tr_status status = renumber(m, &dict, torch->path);
    if (status == TR_OK)
        status = tr_torch_add(m->checkpoint, torch, &dict, m->err);
    tr_torch_dict_free(&dict);
    return status;
}

// The model of chunk `chunk`: "model0" and so on where a stage has several, else "model".
static const struct tr_value *find_chunk(const struct tr_value *root, int chunk) {
    char key[32];
    snprintf(key, sizeof key, "model%d", chunk);
    const struct tr_value *found = tr_torch_items(tr_value_get(root, key));
    return found || chunk ? found : tr_torch_items(tr_value_get(root, "model"));
}

static enum tr_status add_models(struct megatron *m, const struct tr_torch *torch) {
    const struct tr_value *root = torch->root;
    m->args = tr_value_get(root, "args");
    tr_value_integer(tr_value_get(m->args, "num_layers"), &m->layers);
    TR_TRY(check_version(m, root, torch->path));
    TR_TRY(check_args(m, torch->path));
    for (m->chunk_count = 0; find_chunk(root, m->chunk_count);)
        m->chunk_count++;
    if (!m->chunk_count)
        return tr_fail(m->err, TR_EFORMAT, "%s has no \"model\"", torch->path);
    for (m->chunk = 0; m->chunk < m->chunk_count; m->chunk++)
        TR_TRY(add_chunk(m, torch, find_chunk(root, m->chunk)));
    return TR_OK;
}

static enum tr_status add_rank(struct megatron *m, int rank) {
    struct tr_torch torch;
    char name[64];
    if (m->staged)
        snprintf(name, sizeof name, "mp_rank_%02d_%03d/%s", rank, m->stage, m->file);
    else
        snprintf(name, sizeof name, "mp_rank_%02d/%s", rank, m->file);
    TR_TRY(tr_torch_add_file(&torch, m->checkpoint, name, m->err));
    enum tr_status status = add_models(m, &torch);
    tr_torch_close(&torch);
    return status;
}

enum tr_status tr_read_megatron(struct tr_checkpoint *checkpoint, const char *name,
                                struct tr_err *err) {
    struct megatron m = {.checkpoint = checkpoint, .file = strchr(name, '/') + 1, .err = err};
    TR_TRY(count_ranks(&m));
    checkpoint->model_parallel = m.tensor_ranks;
    for (m.stage = 0; m.stage < m.stages; m.stage++)
        for (int rank = 0; rank < m.tensor_ranks; rank++)
            TR_TRY(add_rank(&m, rank));
    return tr_checkpoint_sort(checkpoint, err);
}

// ---- the configuration -------------------------------------------------------------------------

static enum tr_status configure_from(struct tr_checkpoint *checkpoint, const char *name,
                                     const char *path, struct tr_err *err) {
    struct tr_torch torch;
    json_t *facts = NULL;
    TR_TRY(tr_torch_load(&torch, path, err));
    const struct tr_value *args = tr_value_get(torch.root, "args");
    enum tr_status status = args ? tr_facts_of_value(&facts, args, err) : TR_OK;
    if (status == TR_OK && args)
        status = tr_trainer_configure(checkpoint, TR_MEGATRON, facts, name, err);
    json_decref(facts);
    tr_torch_close(&torch);
    return status;
}

enum tr_status tr_configure_megatron(struct tr_checkpoint *checkpoint, const char *name,
                                     struct tr_err *err) {
    char *path;
    TR_TRY(tr_path_join(&path, checkpoint->folder, name, err));
    enum tr_status status = configure_from(checkpoint, name, path, err);
    free(path);
    return status;
}

enum tr_status tr_configure_distributed(struct tr_checkpoint *checkpoint, const char *name,
                                        struct tr_err *err) {
    bool there = false;
    (void)name;
    TR_TRY(tr_folder_has(checkpoint->folder, "common.pt", &there, err));
    return there ? tr_configure_megatron(checkpoint, "common.pt", err) : TR_OK;
}
