// SPDX-License-Identifier: Apache-2.0
// Folders that hold something else than a checkpoint we read: the refusal says what.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ckpt/checkpoint.h"
#include "folder.h"

// Makes a file and the folders above it, within `folder`.
static void put(const char *folder, const char *name) {
    char path[3 * FOLDER_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(path, 0777);
        *slash = '/';
    }
    write_text(path, "x");
}

static char *new_folder(void) {
    static int count;
    char name[32];
    snprintf(name, sizeof name, "foreign%d", count++);
    return make_folder(name);
}

// The refusal of the folder must be "FOLDER " and then `expected`, or begin so.
static void assert_says(const char *folder, const char *expected) {
    struct tr_checkpoint *checkpoint = NULL;
    struct tr_err err = {.text = "accepted"};
    char whole[2048];
    assert_int_not_equal(tr_checkpoint_open(&checkpoint, folder, &err), TR_OK);
    snprintf(whole, sizeof whole, "%s %s", folder, expected);
    if (strncmp(err.text, whole, strlen(whole)))
        fail_msg("expected: %s\nfound:    %s", whole, err.text);
}

static void every_sign_is_named(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"adapter_model.safetensors", "an adapter, not a whole model"},
        {"adapter_model.bin", "an adapter, not a whole model"},
        {"adapter_config.json", "an adapter, not a whole model"},
        {"pytorch_lora_weights.safetensors", "an adapter, not a whole model"},
        {"model-00001-of-00002.safetensors", "shards without their index"},
        {"pytorch_model-00001-of-00002.bin", "shards without their index"},
        {"shard-00001-model-00001-of-00001.safetensors", "shards that were never consolidated"},
        {"model.safetensors.incomplete", "an unfinished download"},
        {"model.safetensors.aria2", "an unfinished download"},
        {"snapshots/0123/x", "a Hugging Face cache: give a folder below snapshots"},
        {"models--a--b/refs/main", "a Hugging Face cache: give a folder below snapshots"},
        {"__0.metadata", "a PyTorch distributed checkpoint with its metadata in parts, one a rank"},
        {"__0_0.distcp",
         "a PyTorch distributed checkpoint without its .metadata, which is written last"},
        {"zero_pp_rank_1_mp_rank_00_model_states.pt", "a part of a DeepSpeed ZeRO checkpoint"},
        {"bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt", "a part of a DeepSpeed ZeRO checkpoint"},
        {"layer_02-model_00-model_states.pt", "a part of a GPT-NeoX checkpoint"},
        {"mp_rank_01/model_optim_rng.pt", "a part of a Megatron checkpoint"},
        {"global_step5/x", "DeepSpeed's save folder: give the folders below"},
        {"iter_0000005/x", "Megatron's save folder: give the folders below"},
        {"release/x", "Megatron's save folder: give the folders below"},
        {"latest_checkpointed_iteration.txt", "Megatron's save folder: give the folders below"},
        {"latest_train_state.pt", "a Megatron-Bridge or NeMo checkpoint"},
        {"model.nemo", "a NeMo archive"},
        {"meta_000100.json", "nanochat's checkpoints: its scripts export one for Hugging Face"},
        {"DONE_00000100", "an llm.c checkpoint: its dev/eval/export_hf.py exports it"},
        {"model_00000100.bin", "an llm.c checkpoint: its dev/eval/export_hf.py exports it"},
        {"model.Q4_0.gguf", "GGUF weights"},
        {"ggml-model-q4_0.bin", "GGML weights"},
        {"consolidated.safetensors", "weights in Mistral's own layout"},
        {"manifest.ocdbt", "an Orbax checkpoint: export it with MaxText's to_huggingface.py"},
        {"_CHECKPOINT_METADATA", "an Orbax checkpoint: export it with MaxText's to_huggingface.py"},
        {"100.orbax-checkpoint-tmp-17/x", "an unfinished Orbax checkpoint"},
        {"streaming_params_100", "an EasyLM checkpoint: its convert_easylm_to_hf.py exports it"},
        {"tf_model.h5", "TensorFlow weights"},
        {"bert_model.ckpt.index", "TensorFlow weights"},
        {"flax_model.msgpack", "Flax weights"},
        {"rust_model.ot", "rust-bert's weights"},
        {"model.onnx", "an ONNX model"},
        {"openvino_model.xml", "an OpenVINO model"},
        {"weights.00.npz", "MLX weights"},
        {"model_state.pdparams", "Paddle weights"},
        {"rank0.engine", "a TensorRT engine"},
        {"model.mlpackage/Manifest.json", "a Core ML model"},
        {"model.tflite", "a LiteRT model"},
        {"gemma.litertlm", "a LiteRT model"},
        {"model.keras", "Keras weights"},
        {"model.weights.h5", "Keras weights"},
        {"params_shard_0.bin", "MLC's weights"},
        {"weights.safetensors", "safetensors under a name that nobody reads"},
        {"optimizer.pt", "a trainer's state without the weights"},
        {"trainer_state.json", "a trainer's state without the weights"},
        {"model.bin", "a file of weights under a name that nobody reads"},
        {"model.tar.gz", "an archive: unpack it"},
        {"saved_model.pb", "TensorFlow weights"},
        {"model.ckpt-1000.index", "TensorFlow weights"},
        {"_METADATA", "an Orbax checkpoint: export it with MaxText's to_huggingface.py"},
        {"model.safetensors.part", "an unfinished download"},
        {"model_world_size_8_rank_0.pt", "verl's shards: its model_merger merges them"},
        {"model.7z", "an archive: unpack it"},
        {"config.json", "a configuration without weights"},
        {"tokenizer.model", "a tokenizer without weights"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *folder = new_folder(), expected[512], entry[128];
        put(folder, cases[i][0]);
        snprintf(entry, sizeof entry, "%.*s", (int)strcspn(cases[i][0], "/"), cases[i][0]);
        snprintf(expected, sizeof expected, "holds %s (%s); what can be read is model.safetensors,",
                 cases[i][1], entry);
        assert_says(folder, expected);
    }
}

// Of several entries that one row fits, the first in natural order, however the folder lists them.
static void the_first_by_name_is_named(void **state) {
    (void)state;
    char *folder = new_folder();
    put(folder, "__10_0.distcp");
    put(folder, "__2_0.distcp");
    put(folder, "__3_0.distcp");
    assert_says(folder, "holds a PyTorch distributed checkpoint without its .metadata, which is "
                        "written last (__2_0.distcp);");
}

static void one_folder_down_is_seen(void **state) {
    (void)state;
    char *folder = new_folder(), expected[1024];
    put(folder, "huggingface/model.safetensors");
    put(folder, ".hidden/model.safetensors");
    snprintf(expected, sizeof expected, "holds a checkpoint one folder down: give %s/huggingface",
             folder);
    assert_says(folder, expected);
    folder = new_folder();
    put(folder, "step_10/pytorch_model.bin");
    put(folder, "step_9/model.safetensors.index.json");
    put(folder, "logs/x");
    assert_says(folder, "holds 2 checkpoints one folder down (step_9, ...): give those");
    folder = new_folder();
    put(folder, "logs/x");
    put(folder, "step-20/__0_0.distcp");
    put(folder, "step-3/__0_0.distcp");
    assert_says(folder, "holds a PyTorch distributed checkpoint without its .metadata, which is "
                        "written last one folder down (step-3/__0_0.distcp);");
    folder = new_folder();
    put(folder, "config.json"); // which alone says little
    put(folder, "pytorch_model_fsdp_0/__0_0.distcp");
    assert_says(folder, "holds a PyTorch distributed checkpoint without its .metadata, which is "
                        "written last one folder down (pytorch_model_fsdp_0/__0_0.distcp);");
    folder = new_folder();
    put(folder, "a/b/model.safetensors"); // two down is too far
    assert_says(folder, "holds no checkpoint: there is no model.safetensors,");
}

// Weights are there, config.json is not: whose configuration is.
static void configurations_of_others_are_named(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"config.yaml", "OLMo's own: its scripts/convert_olmo*_to_hf*.py make a config.json"},
        {"params.json", "Meta's or Mistral's own"},
        {"model_config.yaml", "litgpt's"},
        {"model_config.json", "nanotron's"},
        {"run_config.yaml", "Megatron-Bridge's"},
        {"hparams.yaml", "Lightning's"},
        {"mpt_config.yaml", "LLM Foundry's"},
        {"adapter_config.json", "an adapter's"},
        {"config.json.incomplete", "an unfinished download"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *folder = new_folder(), expected[512];
        put(folder, "model.safetensors");
        put(folder, cases[i][0]);
        snprintf(expected, sizeof expected, "has no config.json; its %s is %s", cases[i][0],
                 cases[i][1]);
        assert_says(folder, expected);
    }
    char *folder = new_folder(), below[2 * FOLDER_PATH];
    put(folder, "step_1/model.pt");
    snprintf(below, sizeof below, "%s/step_1", folder);
    assert_says(below, "has no config.json");
    put(folder, "config.json");
    assert_says(below, "has no config.json; the folder above has one: copy or link it");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sign_is_named),
        cmocka_unit_test(the_first_by_name_is_named),
        cmocka_unit_test(one_folder_down_is_seen),
        cmocka_unit_test(configurations_of_others_are_named),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
