// SPDX-License-Identifier: Apache-2.0
// What a folder without a readable checkpoint holds instead, so that the refusal helps.
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "reader.h"

// What a folder's entry of a name says of it. The first row that fits counts.
struct sign {
    const char *pattern; // of the entry's name
    const char *what;
    enum tr_status code;
};

static const struct sign foreign[] = {
    {"adapter_model.safetensors", "an adapter, not a whole model", TR_EUNSUPPORTED},
    {"adapter_model.bin", "an adapter, not a whole model", TR_EUNSUPPORTED},
    {"pytorch_lora_weights.*", "an adapter, not a whole model", TR_EUNSUPPORTED},
    {"adapter_config.json", "an adapter, not a whole model", TR_EUNSUPPORTED},
    {"model-*-of-*.safetensors", "shards without their index", TR_EFORMAT},
    {"pytorch_model-*-of-*.bin", "shards without their index", TR_EFORMAT},
    {"model_world_size_*_rank_*.pt", "verl's shards: its model_merger merges them",
     TR_EUNSUPPORTED},
    {"shard-*-model-*-of-*.safetensors", "shards that were never consolidated", TR_EUNSUPPORTED},
    {"*.incomplete", "an unfinished download", TR_EFORMAT},
    {"*.part", "an unfinished download", TR_EFORMAT},
    {"*.aria2", "an unfinished download", TR_EFORMAT},
    {"*.crdownload", "an unfinished download", TR_EFORMAT},
    {"snapshots", "a Hugging Face cache: give a folder below snapshots", TR_EUNSUPPORTED},
    {"models--*", "a Hugging Face cache: give a folder below snapshots", TR_EUNSUPPORTED},
    {"__[0-9]*.metadata", "a PyTorch distributed checkpoint with its metadata in parts, one a rank",
     TR_EUNSUPPORTED},
    {"*.distcp", "a PyTorch distributed checkpoint without its .metadata, which is written last",
     TR_EFORMAT},
    {"*zero_pp_rank_*", "a part of a DeepSpeed ZeRO checkpoint", TR_EFORMAT},
    {"layer_*-model_*-model_states.pt", "a part of a GPT-NeoX checkpoint", TR_EFORMAT},
    {"mp_rank_*", "a part of a Megatron checkpoint", TR_EFORMAT},
    {"global_step*", "DeepSpeed's save folder: give the folders below", TR_EUNSUPPORTED},
    {"iter_*", "Megatron's save folder: give the folders below", TR_EUNSUPPORTED},
    {"release", "Megatron's save folder: give the folders below", TR_EUNSUPPORTED},
    {"latest_checkpointed_iteration.txt", "Megatron's save folder: give the folders below",
     TR_EUNSUPPORTED},
    {"latest_train_state.pt", "a Megatron-Bridge or NeMo checkpoint", TR_EUNSUPPORTED},
    {"*.nemo", "a NeMo archive", TR_EUNSUPPORTED},
    {"meta_[0-9]*.json", "nanochat's checkpoints: its scripts export one for Hugging Face",
     TR_EUNSUPPORTED},
    {"DONE_[0-9]*", "an llm.c checkpoint: its dev/eval/export_hf.py exports it", TR_EUNSUPPORTED},
    {"model_[0-9]*.bin", "an llm.c checkpoint: its dev/eval/export_hf.py exports it",
     TR_EUNSUPPORTED},
    {"*.gguf", "GGUF weights", TR_EUNSUPPORTED},
    {"*.awq", "quantized weights", TR_EUNSUPPORTED},
    {"*.exl2", "quantized weights", TR_EUNSUPPORTED},
    {"ggml-*.bin", "GGML weights", TR_EUNSUPPORTED},
    {"consolidated*.safetensors", "weights in Mistral's own layout", TR_EUNSUPPORTED},
    {"manifest.ocdbt", "an Orbax checkpoint: export it with MaxText's to_huggingface.py",
     TR_EUNSUPPORTED},
    {"_METADATA", "an Orbax checkpoint: export it with MaxText's to_huggingface.py",
     TR_EUNSUPPORTED},
    {"_CHECKPOINT_METADATA", "an Orbax checkpoint: export it with MaxText's to_huggingface.py",
     TR_EUNSUPPORTED},
    {"*.orbax-checkpoint-tmp-*", "an unfinished Orbax checkpoint", TR_EFORMAT},
    {"streaming_*params*", "an EasyLM checkpoint: its convert_easylm_to_hf.py exports it",
     TR_EUNSUPPORTED},
    {"tf_model.h5", "TensorFlow weights", TR_EUNSUPPORTED},
    {"*.ckpt.index", "TensorFlow weights", TR_EUNSUPPORTED},
    {"*.ckpt-*.index", "TensorFlow weights", TR_EUNSUPPORTED},
    {"saved_model.pb", "TensorFlow weights", TR_EUNSUPPORTED},
    {"flax_model*.msgpack", "Flax weights", TR_EUNSUPPORTED},
    {"rust_model.ot", "rust-bert's weights", TR_EUNSUPPORTED},
    {"*.onnx", "an ONNX model", TR_EUNSUPPORTED},
    {"openvino_model.*", "an OpenVINO model", TR_EUNSUPPORTED},
    {"weights*.npz", "MLX weights", TR_EUNSUPPORTED},
    {"*.pdparams", "Paddle weights", TR_EUNSUPPORTED},
    {"*.engine", "a TensorRT engine", TR_EUNSUPPORTED},
    {"*.mlpackage", "a Core ML model", TR_EUNSUPPORTED},
    {"*.tflite", "a LiteRT model", TR_EUNSUPPORTED},
    {"*.litertlm", "a LiteRT model", TR_EUNSUPPORTED},
    {"*.keras", "Keras weights", TR_EUNSUPPORTED},
    {"*.weights.h5", "Keras weights", TR_EUNSUPPORTED},
    {"params_shard_*.bin", "MLC's weights", TR_EUNSUPPORTED},
    {"*.safetensors", "safetensors under a name that nobody reads", TR_EUNSUPPORTED},
    {"optimizer.pt", "a trainer's state without the weights", TR_EUNSUPPORTED},
    {"optimizer.bin", "a trainer's state without the weights", TR_EUNSUPPORTED},
    {"trainer_state.json", "a trainer's state without the weights", TR_EUNSUPPORTED},
    {"training_args.bin", "a trainer's state without the weights", TR_EUNSUPPORTED},
    {"*.bin", "a file of weights under a name that nobody reads", TR_EUNSUPPORTED},
    {"*.pt", "a torch file under a name that nobody reads", TR_EUNSUPPORTED},
    {"*.tar", "an archive: unpack it", TR_EUNSUPPORTED},
    {"*.tar.*", "an archive: unpack it", TR_EUNSUPPORTED},
    {"*.zip", "an archive: unpack it", TR_EUNSUPPORTED},
    {"*.7z", "an archive: unpack it", TR_EUNSUPPORTED},
    {"*.safetensors.*z*", "an archive: unpack it", TR_EUNSUPPORTED},
    {"config.json", "a configuration without weights", TR_EFORMAT},
    {"tokenizer*", "a tokenizer without weights", TR_EFORMAT},
};
enum {
    FOREIGN = sizeof foreign / sizeof *foreign,
    CERTAIN = FOREIGN - 2, // the rows before tell what the weights are; those from here only that
                           // none lie here
};

// Whose configuration is there where config.json is not.
static const struct sign configs[] = {
    {"config.json.incomplete", "an unfinished download", TR_EFORMAT},
    {"adapter_config.json", "an adapter's", TR_EUNSUPPORTED},
    {"params.json", "Meta's or Mistral's own", TR_EUNSUPPORTED},
    {"model_config.yaml", "litgpt's", TR_EUNSUPPORTED},
    {"model_config.json", "nanotron's", TR_EUNSUPPORTED},
    {"run_config.yaml", "Megatron-Bridge's", TR_EUNSUPPORTED},
    {"config.yaml", "OLMo's own: its scripts/convert_olmo*_to_hf*.py make a config.json",
     TR_EUNSUPPORTED},
    {"hparams.yaml", "Lightning's", TR_EUNSUPPORTED},
    {"mpt_config.yaml", "LLM Foundry's", TR_EUNSUPPORTED},
};
enum { CONFIGS = sizeof configs / sizeof *configs };

// Whose tensors a file has where those of a Hugging Face model are missing.
static const struct {
    const char *pattern; // of a tensor's name
    const char *whose;
} names[] = {
    {"*.lora_[AB].*", "an adapter's beside the model's: merge it"},
    {"*_flat_param", "FSDP's, flattened: save with FULL_STATE_DICT"},
    {"*flat_param_[0-9]*", "FSDP's, flattened: save with FULL_STATE_DICT"},
    {"*.qweight", "those of quantized weights"},
    {"*transformer.blocks.[0-9]*.att_proj.weight", "OLMo's own"},
    {"*transformer.blocks.[0-9]*.Wqkv.weight", "MPT's own"},
    {"*layers.[0-9]*.attention.wq.weight", "Meta's own"},
    {"*layers.[0-9]*.attention.qkv_linear.wq.weight", "torchtitan's own"},
    {"*blocks.[0-9]*.attention.w_q.weight", "OLMo-core's own"},
    {"*transformer.h.[0-9]*.attn.qkv.weight", "litgpt's own"},
    {"*layers.[0-9]*.self_attention.linear_qkv.weight", "Megatron's own"},
    {"*layers.[0-9]*.self_attention.query_key_value.weight", "Megatron's own"},
    {"sequential.[0-9]*", "GPT-NeoX's own"},
    {"optimizer.*", "an optimizer's"},
};
enum { NAMES = sizeof names / sizeof *names };

const char *tr_checkpoint_whose(const struct tr_checkpoint *checkpoint, const char **name_p) {
    for (int i = 0; i < NAMES; i++)
        for (int64_t t = 0; t < checkpoint->tensor_count; t++)
            if (!fnmatch(names[i].pattern, checkpoint->tensors[t].name, 0)) {
                *name_p = checkpoint->tensors[t].name;
                return names[i].whose;
            }
    return NULL;
}

// The first row that fits, and the first entry in natural order of those that it fits.
struct found {
    int row; // past the last: none
    char name[256];
};

struct findings {
    struct found foreign, config;
    char below[256]; // a folder with weights one level down, the first in natural order
    int below_count;
};

static void match(const struct sign *signs, int rows, struct found *best, const char *name) {
    int row = 0;
    while (row < rows && fnmatch(signs[row].pattern, name, FNM_PERIOD))
        row++;
    if (row > best->row || row == rows)
        return;
    if (row < best->row || tr_natural_compare(name, best->name) < 0)
        snprintf(best->name, sizeof best->name, "%s", name);
    best->row = row;
}

static enum tr_status look_below(const char *folder, const char *name, struct findings *found,
                                 struct tr_err *err) {
    bool has = false;
    char *path;
    if (*name == '.')
        return TR_OK;
    TR_TRY(tr_path_join(&path, folder, name, err));
    enum tr_status status = tr_is_folder(path) ? tr_folder_has_weights(path, &has, err) : TR_OK;
    free(path);
    if (!has)
        return status;
    if (!found->below_count++ || tr_natural_compare(name, found->below) < 0)
        snprintf(found->below, sizeof found->below, "%s", name);
    return TR_OK;
}

static enum tr_status look(const char *folder, struct findings *found, struct tr_err *err) {
    DIR *entries = opendir(folder);
    enum tr_status status = TR_OK;
    *found = (struct findings){.foreign.row = FOREIGN, .config.row = CONFIGS};
    if (!entries)
        return tr_fail(err, TR_EIO, "cannot open the folder %s: %s", folder, strerror(errno));
    for (struct dirent *entry; status == TR_OK && (entry = readdir(entries));) {
        match(foreign, FOREIGN, &found->foreign, entry->d_name);
        match(configs, CONFIGS, &found->config, entry->d_name);
        status = look_below(folder, entry->d_name, found, err);
    }
    closedir(entries);
    return status;
}

// The same for the folders of a folder that itself tells nothing: the first row that fits any.
static enum tr_status look_into(const char *folder, const char *name, struct found *best,
                                char in[256], struct tr_err *err) {
    char *path;
    struct findings found = {.foreign.row = FOREIGN};
    if (*name == '.')
        return TR_OK;
    TR_TRY(tr_path_join(&path, folder, name, err));
    if (tr_is_folder(path) && look(path, &found, NULL) != TR_OK)
        found.foreign.row = FOREIGN; // one that cannot be opened tells nothing either
    free(path);
    if (found.foreign.row == FOREIGN || found.foreign.row > best->row ||
        (found.foreign.row == best->row && tr_natural_compare(name, in) > 0))
        return TR_OK;
    *best = found.foreign;
    snprintf(in, 256, "%s", name);
    return TR_OK;
}

static enum tr_status look_one_down(const char *folder, struct found *best, char in[256],
                                    struct tr_err *err) {
    DIR *entries = opendir(folder);
    enum tr_status status = TR_OK;
    *best = (struct found){.row = FOREIGN};
    if (!entries)
        return tr_fail(err, TR_EIO, "cannot open the folder %s: %s", folder, strerror(errno));
    for (struct dirent *entry; status == TR_OK && (entry = readdir(entries));)
        status = look_into(folder, entry->d_name, best, in, err);
    closedir(entries);
    return status;
}

enum tr_status tr_refuse_folder(const char *folder, const char *looked_for, struct tr_err *err) {
    struct findings found;
    struct found below = {.row = FOREIGN};
    char in[256] = "";
    TR_TRY(look(folder, &found, err));
    if (found.below_count == 1)
        return tr_fail(err, TR_EFORMAT, "%s holds a checkpoint one folder down: give %s/%s", folder,
                       folder, found.below);
    if (found.below_count)
        return tr_fail(err, TR_EFORMAT,
                       "%s holds %d checkpoints one folder down (%s, ...): give those", folder,
                       found.below_count, found.below);
    if (found.foreign.row >= CERTAIN)
        TR_TRY(look_one_down(folder, &below, in, err));
    if (found.foreign.row < FOREIGN && (found.foreign.row < CERTAIN || below.row >= CERTAIN))
        return tr_fail(err, foreign[found.foreign.row].code,
                       "%s holds %s (%s); what can be read is %s", folder,
                       foreign[found.foreign.row].what, found.foreign.name, looked_for);
    if (below.row < FOREIGN)
        return tr_fail(err, foreign[below.row].code,
                       "%s holds %s one folder down (%s/%s); what can be read is %s", folder,
                       foreign[below.row].what, in, below.name, looked_for);
    return tr_fail(err, TR_EFORMAT, "%s holds no checkpoint: there is no %s", folder, looked_for);
}

enum tr_status tr_refuse_configless(const char *folder, struct tr_err *err) {
    struct findings found;
    bool above = false;
    TR_TRY(look(folder, &found, err));
    if (found.config.row < CONFIGS)
        return tr_fail(err, configs[found.config.row].code, "%s has no config.json; its %s is %s",
                       folder, found.config.name, configs[found.config.row].what);
    TR_TRY(tr_folder_has(folder, "../config.json", &above, err));
    return tr_fail(err, TR_EFORMAT, "%s has no config.json%s", folder,
                   above ? "; the folder above has one: copy or link it" : "");
}
