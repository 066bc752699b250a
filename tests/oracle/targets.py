# SPDX-License-Identifier: Apache-2.0
"""What the readers of each form make of a written folder, by their own rules: a folder that
transformers loads, and the sublayers that add nothing.

smaller, zeroed  transformers itself
llm-drop         LLM-Drop's configuration classes: numbers, or true and false for each layer
anymodel         vLLM's anymodel.py, nemotron-nas: its nemotron_nas.py
mergekit         its passthrough merge: layers are counted over the slices, config.json keeps the rest
"""
import json
import os
import re

import yaml
from safetensors.torch import load_file, save_file

FAMILIES = {
    "llm-drop": {"llama", "mistral", "gemma2", "baichuan", "deepseek"},
    "anymodel": {"llama", "mistral", "qwen2", "qwen3"},
    "nemotron-nas": {"llama", "mistral"},
}
FORMS = ("smaller", "zeroed", "llm-drop", "anymodel", "nemotron-nas", "mergekit")


def options_of(form):
    """How the program is told of the form."""
    return ["block-configs", "--dialect", form] if form in ("anymodel", "nemotron-nas") else [form]


def applies(form, family):
    return form not in FAMILIES or family.model_type in FAMILIES[form]


def changed(case, form):
    """The case, as far as the form can say it."""
    config = dict(case.config)
    if form == "nemotron-nas":
        config |= {"intermediate_size": 256, "hidden_act": "silu"}
        if "sliding_window" in config:
            config["sliding_window"] = None
    return config


# ---- one reader each ---------------------------------------------------------------------------


def as_it_is(source, target, scratch):
    return target, []


def llm_drop(source, target, scratch):
    config = json.loads((target / "config.json").read_text())
    drop = []
    for module, key in (("attn", "drop_attn_list"), ("mlp", "drop_mlp_list")):
        for index, value in enumerate(config[key]):
            if not isinstance(value, bool) or value:  # a bool is an int in Python
                drop.append((module, index if isinstance(value, bool) else value))
    assert config["auto_map"]["AutoConfig"].startswith("configuration_"), config["auto_map"]
    later = ("rope_parameters", "layer_types", "mlp_bias", "auto_map")  # it reads none of these
    read = {key: value for key, value in config.items() if key not in later}
    if config["model_type"] != "gemma2":
        read.pop("head_dim", None)
    if config["model_type"] == "mistral" and config["sliding_window"]:
        read["sliding_window"] += 1  # tokens beside the one that sees
    return linked(target, scratch, read), drop


def linked(target, scratch, config):
    """A folder with the target's weights and another config.json."""
    scratch.mkdir()
    for name in os.listdir(target):
        if name.endswith((".safetensors", ".index.json")):
            (scratch / name).symlink_to(target / name)
    (scratch / "config.json").write_text(json.dumps(config))
    return scratch


def blocks(config, base, hidden_of, kv_of):
    """The sublayers that are no_op; the others must have the base model's sizes."""
    assert len(config["block_configs"]) == config["num_hidden_layers"]
    drop = []
    for layer, block in enumerate(config["block_configs"]):
        if block["attention"]["no_op"]:
            drop.append(("attn", layer))
        else:
            assert kv_of(block["attention"]) == base["num_key_value_heads"], block
        if block["ffn"]["no_op"]:
            drop.append(("mlp", layer))
        else:
            assert hidden_of(block["ffn"]) == base["intermediate_size"], block
    return drop


def base_of(source, config, architecture):
    before = json.loads((source / "config.json").read_text())
    base = {key: value for key, value in config.items()
            if key not in ("block_configs", "base_architecture", "auto_map")}
    return base | {"model_type": before["model_type"], "architectures": [architecture]}


def anymodel(source, target, scratch):
    config = json.loads((target / "config.json").read_text())
    assert config["architectures"] == ["AnyModel"] and config["model_type"] == "anymodel"
    base = base_of(source, config, config["base_architecture"])
    drop = blocks(config, base, lambda ffn: ffn["intermediate_size"],
                  lambda attention: attention["num_key_value_heads"])
    return linked(target, scratch, base), drop


def nemotron_nas(source, target, scratch):
    config = json.loads((target / "config.json").read_text())
    assert config["architectures"] == ["DeciLMForCausalLM"]
    base = base_of(source, config, "LlamaForCausalLM") | {"model_type": "llama"}

    def hidden_of(ffn):
        width = int(2 * ffn["ffn_mult"] * config["hidden_size"] / 3)
        return (width + 255) // 256 * 256

    drop = blocks(config, base, hidden_of, lambda attention:
                  config["num_attention_heads"] // attention["n_heads_in_group"])
    assert ("attn", 0) not in drop or ("mlp", 0) in drop, "the first layer lacks attention alone"
    return linked(target, scratch, base), drop


LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")


def mergekit(source, target, scratch):
    recipe = yaml.safe_load((target / "mergekit.yaml").read_text())
    assert recipe["merge_method"] == "passthrough"
    tensors, kept = {}, []
    for file in sorted(source.glob("*.safetensors")):
        tensors |= load_file(file)
    for one in recipe["slices"]:
        (part,) = one["sources"]
        assert part["model"] == os.path.realpath(source)
        kept += range(*part["layer_range"])
    config = json.loads((source / "config.json").read_text())
    key = next(key for key in LAYERS if key in config)
    config[key] = len(kept)
    merged = {}
    for name, value in tensors.items():
        number = re.search(r"\.(\d+)\.", "." + name)
        if not number:
            merged[name] = value
        elif int(number[1]) in kept:
            new = f".{kept.index(int(number[1]))}."
            merged[re.sub(r"\.\d+\.", new, "." + name, count=1)[1:]] = value
    scratch.mkdir()
    save_file(merged, scratch / "model.safetensors", {"format": "pt"})
    (scratch / "config.json").write_text(json.dumps(config))
    return scratch, []


READERS = {"smaller": as_it_is, "zeroed": as_it_is, "llm-drop": llm_drop, "anymodel": anymodel,
           "nemotron-nas": nemotron_nas, "mergekit": mergekit}
