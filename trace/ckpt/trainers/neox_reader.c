// SPDX-License-Identifier: Apache-2.0
// Opens what GPT-NeoX writes of a pipeline: a file for each layer and rank of model parallelism,
// layer_LL-model_MM-model_states.pt. (Source: tools/ckpts/convert_neox_to_hf.py.)
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "folder_scan.h"
#include "reader.h"
#include "torch/torch_dict.h"
#include "trainer_config.h"

#define FILES "layer_[0-9]*-model_[0-9]*-model_states.pt"

static bool parse(const char *name, int *layer, int *rank) {
    int used = 0;
    return sscanf(name, "layer_%4d-model_%4d-model_states.pt%n", layer, rank, &used) == 2 &&
           used == (int)strlen(name) && *layer >= 0 && *rank >= 0;
}

static enum tr_status add_layer(struct tr_checkpoint *checkpoint, const struct tr_torch *torch,
                                int layer, struct tr_err *err) {
    struct tr_torch_dict dict;
    enum tr_status status = TR_OK;
    char name[640];
    TR_TRY(tr_torch_dict_read(&dict, torch->root, torch->path, err));
    for (int64_t i = 0; i < dict.count && status == TR_OK; i++) {
        snprintf(name, sizeof name, "sequential.%d.%s", layer, dict.items[i].name);
        free(dict.items[i].name);
        dict.items[i].name = NULL;
        status = tr_strdup(&dict.items[i].name, name, err);
    }
    if (status == TR_OK)
        status = tr_torch_add(checkpoint, torch, &dict, err);
    tr_torch_dict_free(&dict);
    return status;
}

static enum tr_status add_file(struct tr_checkpoint *checkpoint, const char *name, int layer,
                               struct tr_err *err) {
    struct tr_torch torch;
    TR_TRY(tr_torch_add_file(&torch, checkpoint, name, err));
    enum tr_status status = add_layer(checkpoint, &torch, layer, err);
    tr_torch_close(&torch);
    return status;
}

enum tr_status tr_read_neox(struct tr_checkpoint *checkpoint, const char *name,
                            struct tr_err *err) {
    struct tr_names files;
    enum tr_status status = TR_OK;
    (void)name;
    TR_TRY(tr_names_list(&files, checkpoint->folder, FILES, err));
    for (int64_t i = 0; i < files.count && status == TR_OK; i++) {
        int layer, rank;
        if (!parse(files.names[i], &layer, &rank))
            continue;
        if (rank >= checkpoint->model_parallel)
            checkpoint->model_parallel = rank + 1;
        status = add_file(checkpoint, files.names[i], layer, err);
    }
    tr_names_free(&files);
    return status == TR_OK ? tr_checkpoint_sort(checkpoint, err) : status;
}

// ---- the configuration -------------------------------------------------------------------------

// The vocabulary is as large as the embedding, which no file of configuration says.
static enum tr_status find_vocabulary(const struct tr_checkpoint *checkpoint, const char *name,
                                      int64_t ranks, json_t *facts, struct tr_err *err) {
    struct tr_torch torch;
    char *path;
    TR_TRY(tr_path_join(&path, checkpoint->folder, name, err));
    enum tr_status status = tr_torch_load(&torch, path, err);
    if (status == TR_OK) {
        const struct tr_value *dict = tr_torch_items(torch.root);
        const struct tr_value *table = dict ? tr_value_get(dict, "word_embeddings.weight") : NULL;
        bool matrix =
            table && table->kind == TR_VALUE_TENSOR && table->tensor.shape->sequence.count == 2;
        int64_t rows = matrix ? table->tensor.shape->sequence.items[0]->integer : 0;
        if (rows > 0 && rows <= INT64_MAX / ranks)
            json_object_set_new(facts, "vocab_size", json_integer(ranks * rows));
        tr_torch_close(&torch);
    }
    free(path);
    return status;
}

static enum tr_status add_facts(struct tr_checkpoint *checkpoint, const char *name, json_t *facts,
                                struct tr_err *err) {
    enum { LIMIT = 1 << 20 };
    char path[512], *whole, *bytes = NULL;
    size_t size;
    json_t *more = NULL;
    snprintf(path, sizeof path, "configs/%.400s", name);
    TR_TRY(tr_path_join(&whole, checkpoint->folder, path, err));
    enum tr_status status = tr_checkpoint_load(checkpoint, path, LIMIT, &bytes, &size, NULL, err);
    if (status == TR_OK)
        status = tr_facts_of_yaml(&more, bytes, size, whole, err);
    free(bytes);
    free(whole);
    const char *key;
    json_t *value;
    if (status == TR_OK)
        json_object_foreach(more, key, value) {
            char plain[256];
            snprintf(plain, sizeof plain, "%s", key);
            for (char *at = plain; *at; at++)
                *at = *at == '-' ? '_' : *at;
            json_object_set(facts, plain, value);
        }
    json_decref(more);
    return status;
}

static enum tr_status configure(struct tr_checkpoint *checkpoint, const struct tr_names *configs,
                                const char *name, json_t *facts, struct tr_err *err) {
    struct tr_names parts;
    for (int64_t i = 0; i < configs->count; i++)
        TR_TRY(add_facts(checkpoint, configs->names[i], facts, err));
    TR_TRY(tr_names_list(&parts, checkpoint->folder, "layer_00-model_*-model_states.pt", err));
    enum tr_status status = find_vocabulary(checkpoint, name, parts.count, facts, err);
    tr_names_free(&parts);
    TR_TRY(status);
    return tr_trainer_configure(checkpoint, TR_NEOX, facts, "configs", err);
}

enum tr_status tr_configure_neox(struct tr_checkpoint *checkpoint, const char *name,
                                 struct tr_err *err) {
    struct tr_names configs;
    char *folder;
    TR_TRY(tr_path_join(&folder, checkpoint->folder, "configs", err));
    enum tr_status status = tr_names_list(&configs, folder, "*.yml", NULL);
    free(folder);
    if (status != TR_OK || !configs.count)
        return TR_OK; // a config.json has to be given
    json_t *facts = json_object();
    status = facts ? configure(checkpoint, &configs, name, facts, err)
                   : tr_fail(err, TR_ENOMEM, "out of memory for a model's configuration");
    json_decref(facts);
    tr_names_free(&configs);
    return status;
}
